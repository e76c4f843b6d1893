"""Where Spark jobs run: in this process, or on EMR Serverless. Both promise the same."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dagster import AssetExecutionContext

    from lake.jobs import Job, Report


class SparkJobs(Protocol):
    """Runs a lake job on Spark.

    Promises
    - `run` returns the job's own report, made by `lake.run.run` where the job ran.
    - A job that fails, or ends without a report, raises; it never counts as done.
    """

    def run(self, job: "Job", context: "AssetExecutionContext") -> "Report":
        """Run the job to its end. Raises SparkJobFailed."""
        ...
