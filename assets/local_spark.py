"""Spark in this process: one session, started by the first job that needs it."""

from typing import TYPE_CHECKING

from assets.redaction import safe_text
from contracts.errors import FleetlakeError, StoreUnavailable
from contracts.outages import store_of
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
        from lake.spark.size import is_large
        from lake.stores import away

        large = is_large(self._settings, job)
        context.log.info(f"{type(job).__name__} in this process, {'large' if large else 'small'} session")
        pyspark = LazyPySparkResource(spark_config=spark_config(self._settings, large=large))
        with java_for_launch(self._settings):
            session = pyspark.spark_session
        try:
            return run(session, self._settings, job)
        except FleetlakeError:
            raise
        except Exception as error:
            # Spark tells many an outage by errors that name no store, such as a KeyError of its bridge to Java.
            if (store := store_of(error) or away(self._settings)) is None:
                raise
            raise StoreUnavailable(f"{type(job).__name__}: {store} does not answer ({safe_text(error)})") from None
