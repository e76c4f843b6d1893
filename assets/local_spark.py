"""Spark in this process: one session, started by the first job that needs it."""

from typing import TYPE_CHECKING

from contracts.settings import RegionSettings

if TYPE_CHECKING:
    from dagster import AssetExecutionContext

    from lake.jobs import Job, Report


class LocalSparkJobs:
    """SparkJobs on a local session, which dagster-pyspark holds.

    A process has one session, so a second run in it finds Spark already started.
    """

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings

    def run(self, job: "Job", context: "AssetExecutionContext") -> "Report":
        """See SparkJobs."""
        from dagster_pyspark import LazyPySparkResource

        from lake.run import run
        from lake.spark.session import java_for_launch, spark_config

        context.log.info(f"{type(job).__name__} in this process")
        pyspark = LazyPySparkResource(spark_config=spark_config(self._settings))
        with java_for_launch(self._settings):
            session = pyspark.spark_session
        return run(session, self._settings, job)
