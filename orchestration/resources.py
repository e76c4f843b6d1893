"""Resources of a region's runs and sensors. Settings are read when a run or a sensor needs them, never while loading.

This is the one place that chooses where Spark runs.
"""

from typing import Any

from dagster import InitResourceContext, ResourceDefinition, resource

from contracts.settings import RegionSettings, WorldSettings


@resource(description="What is due in the region, and the steps that are not Spark's.")
def region_work(_: InitResourceContext) -> Any:
    """The region's work on its real stores."""
    from assets.lake_work import LakeWork

    return LakeWork(RegionSettings.load())


@resource(description="Where Spark jobs run: in the process of the run, or on EMR Serverless.")
def spark_jobs(_: InitResourceContext) -> Any:
    """Spark as the settings choose it."""
    settings = RegionSettings.load()
    if settings.spark == "emr-serverless":
        from assets.emr import emr_serverless

        return emr_serverless(settings)
    from assets.local_spark import LocalSparkJobs

    return LocalSparkJobs(settings)


@resource(description="What is due in the world view, and its steps.")
def world_work(_: InitResourceContext) -> Any:
    """World's work on its real stores."""
    from assets.world_work import LakeWorldWork

    return LakeWorldWork(WorldSettings.load())


REGION_RESOURCES: dict[str, ResourceDefinition] = {"work": region_work, "spark": spark_jobs}
WORLD_RESOURCES: dict[str, ResourceDefinition] = {"work": world_work}
