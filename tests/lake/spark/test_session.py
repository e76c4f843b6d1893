"""The Spark session: what it is started with, what it must not give away."""

import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from lake.iceberg.catalog import catalog
from lake.iceberg.tables import ensure_tables
from lake.spark.session import connect, java_for_launch, memory_gib, spark_config, spark_session


@pytest.fixture
def secrets(lake_region) -> list[str]:
    password = lake_region.postgres_dsn.get_secret_value().split("://")[1].split("@")[0].split(":")[1]
    return [lake_region.s3.secret_key.get_secret_value(), password]


def test_what_a_session_is_started_with_holds_no_secret(lake_region, secrets):
    text = repr(spark_config(lake_region))
    assert not [secret for secret in secrets if secret in text]


def test_the_command_line_of_its_java_holds_no_secret(spark, secrets):
    lines = [_command_line(child) for child in psutil.Process().children(recursive=True)]
    assert any("org.apache.spark.deploy.SparkSubmit" in line for line in lines)
    assert not [line for line in lines for secret in secrets if secret in line]


def test_settings_as_spark_shows_them_are_redacted(spark, lake_region, secrets):
    shown = repr(spark.sql("SET").collect())
    assert f"spark.sql.catalog.{lake_region.region}.s3.secret-access-key" in shown
    assert not [secret for secret in secrets if secret in shown]


def test_there_is_one_session_and_its_days_are_utc(spark, lake_region):
    assert spark_session(lake_region) is spark
    assert connect(spark, lake_region) is spark
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert spark.sparkContext.uiWebUrl is None
    assert spark.conf.get("spark.driver.bindAddress") == "127.0.0.1"


def test_a_session_that_another_region_began_reads_this_ones_bucket(spark, stack):
    from pyspark.sql import SparkSession

    settings = stack.settings("ap")
    session = connect(SparkSession(spark.sparkContext), settings)
    with pytest.raises(Exception, match="PATH_NOT_FOUND"):
        session.read.parquet(f"s3a://{settings.bucket}/landing/nothing")


def test_a_session_leaves_the_environment_as_it_was(lake_region, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    before = dict(os.environ)
    with java_for_launch(lake_region):
        assert (Path(os.environ["JAVA_HOME"]) / "bin" / "java").exists()
    spark_config(lake_region)
    assert dict(os.environ) == before


def test_spark_and_pyiceberg_see_the_same_tables(spark, landing):
    settings = landing.settings
    ensure_tables(settings)
    seen = {
        f"{row.namespace}.{row.tableName}" for row in spark.sql(f"show tables in {settings.region}.history").collect()
    }
    assert seen == {".".join(name) for name in catalog(settings).list_tables("history")}
    derived = {f"history.{name}" for name in ("trip", "episode", "fault_day", "device_day", "motion_hour")}
    assert seen == {"history.telemetry"} | derived


@pytest.mark.parametrize(("size", "gib"), [("2g", 2.0), ("512m", 0.5), ("1024", 1.0), ("1048576k", 1.0), ("3GB", 3.0)])
def test_memory_is_read_as_java_writes_it(size, gib):
    local = SimpleNamespace(getConf=lambda: {"spark.master": "local[2]", "spark.driver.memory": size})
    assert memory_gib(SimpleNamespace(sparkContext=local)) == gib
    cluster = SimpleNamespace(
        getConf=lambda: {"spark.master": "yarn", "spark.executor.memory": size, "spark.executor.instances": "3"}
    )
    assert memory_gib(SimpleNamespace(sparkContext=cluster)) == 3 * gib


def _command_line(process: psutil.Process) -> str:
    """Empty for a process that has ended meanwhile."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
