"""Resources of a region's runs and sensors. Settings are read when a run or a sensor needs them, never while loading.

Where Spark runs is chosen here and nowhere else.
"""

from typing import Any

from dagster import InitResourceContext, ResourceDefinition, resource

from contracts.settings import RegionSettings, WorldSettings


@resource(description="Merging: which landed hours history lacks.")
def merging(_: InitResourceContext) -> Any:
    """Merging on the region's stores."""
    from assets.lake_work import LakeMerging

    return LakeMerging(RegionSettings.load())


@resource(description="Deriving: which business days changed since they were derived.")
def deriving(_: InitResourceContext) -> Any:
    """Deriving on the region's stores."""
    from assets.lake_work import LakeDeriving

    return LakeDeriving(RegionSettings.load())


@resource(description="Loading: derived days into Postgres staging, and what the marts lack.")
def loading(_: InitResourceContext) -> Any:
    """Loading on the region's stores."""
    from assets.lake_work import LakeLoading

    return LakeLoading(RegionSettings.load())


@resource(description="Releasing: which days may leave the region as aggregates.")
def releasing(_: InitResourceContext) -> Any:
    """Releasing on the region's stores."""
    from assets.lake_work import LakeReleasing

    return LakeReleasing(RegionSettings.load())


@resource(description="Checking: the counts and rows that asset checks compare.")
def checking(_: InitResourceContext) -> Any:
    """Checking on the region's stores."""
    from assets.lake_work import LakeChecking

    return LakeChecking(RegionSettings.load())


@resource(description="Operators: whom to tell what is wrong in the region, and how long its runs are kept.")
def operators(_: InitResourceContext) -> Any:
    """The operators of the region."""
    from assets.operators import LakeOperators

    return LakeOperators(RegionSettings.load())


@resource(description="Operators: whom to tell what is wrong in the world view, and how long its runs are kept.")
def world_operators(_: InitResourceContext) -> Any:
    """The operators of world."""
    from assets.operators import LakeOperators

    return LakeOperators(WorldSettings.load())


@resource(description="Retention: what is past its time in every store, and its removal.")
def retaining(_: InitResourceContext) -> Any:
    """Retention on the region's stores."""
    from assets.retention_work import LakeRetaining

    return LakeRetaining(RegionSettings.load())


@resource(description="The desk: requests of data subjects, counted.")
def desk(_: InitResourceContext) -> Any:
    """The desk on the region's database."""
    from assets.retention_work import PrivacyDesk

    return PrivacyDesk(RegionSettings.load())


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


REGION_RESOURCES: dict[str, ResourceDefinition] = {
    "merging": merging,
    "deriving": deriving,
    "loading": loading,
    "releasing": releasing,
    "checking": checking,
    "retaining": retaining,
    "desk": desk,
    "spark": spark_jobs,
    "operators": operators,
}
WORLD_RESOURCES: dict[str, ResourceDefinition] = {"work": world_work, "operators": world_operators}
