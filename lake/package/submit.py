"""How a job is submitted with its package: the Spark settings that name its files and the sizes of its workers."""

import shlex

from contracts.regions import SparkSizes
from lake.spark.jars import COORDINATES, ON_EMR, file_name

MAIN = "main.py"
_OVERHEAD = 4
"""Of a worker's memory a fourth is not Java's: Arrow's, and the Python in which the rules of motion run."""
_MIB_A_GIB = 1024


def package_settings(package: str, *, with_s3a: bool = False) -> dict[str, str]:
    """The Spark settings of a job whose package is in folder `package`, a path or the URL of one.

    with_s3a: bring what reads s3a:// too, for a Spark that has none.
    """
    brought = COORDINATES if with_s3a else ON_EMR
    archives = [f"{package}/{name}.tar.gz#{name}" for name in ("dependencies", "rooms")]
    return {
        "spark.archives": ",".join(archives),
        "spark.jars": ",".join(f"{package}/jars/{file_name(one)}" for one in brought),
        "spark.executorEnv.PYTHONPATH": "rooms:dependencies",
    }


def size_settings(sizes: SparkSizes) -> dict[str, str]:
    """The Spark settings of workers of these sizes."""
    return {
        **_worker("driver", sizes.driver_cores, sizes.driver_gib),
        **_worker("executor", sizes.executor_cores, sizes.executor_gib),
        "spark.executor.instances": str(sizes.executors),
        "spark.dynamicAllocation.maxExecutors": str(sizes.most_executors),
    }


def _worker(name: str, cores: int, gib: int) -> dict[str, str]:
    overhead = gib * _MIB_A_GIB // _OVERHEAD
    return {
        f"spark.{name}.cores": str(cores),
        f"spark.{name}.memory": f"{gib * _MIB_A_GIB - overhead}m",
        f"spark.{name}.memoryOverhead": f"{overhead}m",
    }


def as_parameters(settings: dict[str, str]) -> str:
    """The settings as words of spark-submit."""
    return " ".join(f"--conf {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
