"""Spark: one session a process, with the region's Iceberg catalog.

The settings that start the JVM go on its command line, which other users of the machine can read. So they hold no
secrets: `connect` sets those in the running session.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from contracts.settings import CATALOG_SCHEMA, AwsService, LakeSettings
from lake.database import dsn_parts
from lake.spark.jars import jars
from lake.spark.java import java_home, launching_with

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_CORES = 2
_FRUGAL_MEMORY = "2g"
_LARGE_GIB, _MOST_SHARE = 4, 1 / 3
"""Java's heap of a large session, and the share of the machine's memory that it takes at most."""
_FRUGAL_JAVA = (
    "-XX:+UseSerialGC -XX:MinHeapFreeRatio=10 -XX:MaxHeapFreeRatio=30 -XX:TieredStopAtLevel=1"
    " -XX:ReservedCodeCacheSize=160m"
)
"""Most local runs are short, and spend more on compiling than they win by it: docs/adr/0024 has the figures. That level
alone has a code cache of 48 MiB, which some dozens of derivations in one process fill; it is memory only where used."""


_LARGE_JAVA = "-XX:+UseParallelGC"
"""A run of minutes wins by both of Java's compilers and by a collector on all cores."""
_LARGE_PARTITIONS = 16


def spark_session(settings: LakeSettings, *, large: bool = False) -> "SparkSession":
    """The process's Spark session, started where there is none, with the region's catalog.

    large: for a job of minutes (lake.spark.size). Raises WrongJava.
    """
    from pyspark.sql import SparkSession

    builder = SparkSession.builder
    for name, value in spark_config(settings, large=large).items():
        builder = builder.config(name, value)
    with java_for_launch(settings):
        session = builder.getOrCreate()
    return connect(session, settings)


@contextmanager
def java_for_launch(settings: LakeSettings) -> Iterator[None]:
    """Within the block a local session starts on a Java that Spark can use, and with workers of this Python.

    On EMR the JVM runs already, and nothing changes. Raises WrongJava.
    """
    if settings.spark == "emr-serverless":
        yield
        return
    with launching_with(java_home(settings.state)):
        yield


def connect(spark: "SparkSession", settings: LakeSettings) -> "SparkSession":
    """Give a session the region's bucket and credentials, however it was started. Does nothing the second time."""
    mark = f"spark.fleetlake.connected.{settings.region}"
    if spark.conf.get(mark, "") != "yes":
        # What begins with spark.hadoop is read when Spark starts: a session that another region's work began lacks it.
        bucket = {name.removeprefix("spark.hadoop."): value for name, value in _s3a(settings).items()}
        for name, value in (bucket | _secrets(settings) | {mark: "yes"}).items():
            spark.conf.set(name, value)
        spark.sparkContext.setLogLevel("ERROR")
    return spark


def spark_config(settings: LakeSettings, *, large: bool = False) -> dict[str, str]:
    """The settings that a session is started with: no secret. For SparkSession.builder and dagster-pyspark's resource.

    large: a local session for a job of minutes. Start the session within `java_for_launch`.
    """
    if settings.spark == "emr-serverless":
        return _catalog(settings) | engine_config() | _s3a(settings)
    memory = settings.spark_memory or (_large_memory() if large else _FRUGAL_MEMORY)
    local = local_config(f"fleetlake-{settings.region}", settings.state, memory, large=large)
    return _catalog(settings) | engine_config() | _s3a(settings) | local


def memory_gib(spark: "SparkSession") -> float:
    """Memory of the processes in which the session's tasks run, GiB: the driver, or the executors it began with."""
    conf = spark.sparkContext.getConf()
    if str(conf.get("spark.master", "")).startswith("local"):
        return _gib(conf.get("spark.driver.memory", "1g"))
    return _gib(conf.get("spark.executor.memory", "1g")) * int(conf.get("spark.executor.instances", "1") or 1)


def _gib(size: str | None) -> float:
    """A size as Java's tools write it (512m, 2g; MiB without a unit) in GiB."""
    text = (size or "1g").strip().lower().removesuffix("b")
    units = {"k": 2.0**-20, "m": 2.0**-10, "g": 1.0, "t": 2.0**10}
    return float(text[:-1]) * units[text[-1]] if text[-1] in units else float(text) * units["m"]


def engine_config() -> dict[str, str]:
    """What every session has, wherever it runs."""
    return {
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        "spark.sql.session.timeZone": "UTC",
        "spark.redaction.regex": "(?i)secret|password|token|credential|access[._-]?key",
        # A landing object that vanished is an error, never fewer rows.
        "spark.sql.files.ignoreMissingFiles": "false",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # Else each operation on a column looks for its caller's line: a failed import and several calls into Java.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
    }


def local_config(name: str, state: Path, memory: str, *, large: bool = False) -> dict[str, str]:
    """What a session on this machine has. state: folder that its scratch files go below."""
    scratch = (state / "spark").resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    classpath = os.pathsep.join(str(jar) for jar in jars())
    quiet = _quiet_logging(scratch)
    java = _LARGE_JAVA if large else _FRUGAL_JAVA
    return {
        "spark.app.name": name,
        "spark.master": f"local[{_CORES}]",
        "spark.driver.memory": memory,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraClassPath": classpath,
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile=file:{quiet} -Xss4m {java}",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.sql.shuffle.partitions": str(_LARGE_PARTITIONS if large else 2 * _CORES),
        # A hundred landing paths are quicker looked up by threads of the driver than by a job.
        "spark.sql.sources.parallelPartitionDiscovery.threshold": "10000",
    }


def _large_memory() -> str:
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30 * _MOST_SHARE
    return f"{max(1, min(_LARGE_GIB, int(gib)))}g"


def _quiet_logging(folder: Path) -> Path:
    file = folder / "log4j2.properties"
    text = (
        "rootLogger.level = error\nrootLogger.appenderRef.stderr.ref = stderr\n"
        # PySpark's gateway takes WARN, and prints that it does, unless its own logger has a level.
        "logger.gateway.name = org.apache.spark.api.python.PythonGatewayServer\nlogger.gateway.level = error\n"
        "appender.stderr.type = Console\nappender.stderr.name = stderr\nappender.stderr.target = SYSTEM_ERR\n"
        "appender.stderr.layout.type = PatternLayout\nappender.stderr.layout.pattern = %d{ISO8601} %p %c{1}: %m%n\n"
    )
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        fresh = file.with_name(f"log4j2.{os.getpid()}")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(file)
    return file


def _catalog(settings: LakeSettings) -> dict[str, str]:
    options = {
        "": "org.apache.iceberg.spark.SparkCatalog",
        "warehouse": settings.warehouse,
        "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "client.region": settings.row.aws_region,
        # Two processes commit to one table: each read looks the table up anew.
        "cache-enabled": "false",
    }
    if settings.catalog == "sql":
        parts = dsn_parts(settings)
        where = f"{parts.get('host', '127.0.0.1')}:{parts.get('port', '5432')}/{parts['dbname']}"
        options |= {
            "type": "jdbc",
            "uri": f"jdbc:postgresql://{where}?currentSchema={CATALOG_SCHEMA}",
            "jdbc.schema-version": "V1",
        }
    else:
        options["type"] = "glue"
    if settings.s3.endpoint:
        options |= {"s3.endpoint": settings.s3.endpoint, "s3.path-style-access": "true"}
    return _named(settings, options)


def _s3a(settings: LakeSettings) -> dict[str, str]:
    """How Spark reads landing objects by key."""
    prefix = f"spark.hadoop.{_bucket_options(settings)}"
    options = {f"{prefix}endpoint.region": settings.row.aws_region}
    if settings.s3.endpoint:
        secure = str(urlsplit(settings.s3.endpoint).scheme == "https").lower()
        options |= {
            f"{prefix}endpoint": settings.s3.endpoint,
            f"{prefix}path.style.access": "true",
            f"{prefix}connection.ssl.enabled": secure,
            f"{prefix}change.detection.mode": "none",
        }
    if settings.s3.access_key:
        kind = "TemporaryAWSCredentialsProvider" if settings.s3.session_token else "SimpleAWSCredentialsProvider"
        options[f"{prefix}aws.credentials.provider"] = f"org.apache.hadoop.fs.s3a.{kind}"
    return options


def _secrets(settings: LakeSettings) -> dict[str, str]:
    options: dict[str, str] = {}
    if settings.catalog == "sql":
        parts = dsn_parts(settings)
        options |= {f"jdbc.{name}": parts[name] for name in ("user", "password") if name in parts}
    keys = _keys(settings.s3)
    if keys:
        options |= {"s3.access-key-id": keys[0], "s3.secret-access-key": keys[1]}
    token = settings.s3.session_token
    if token:
        options["s3.session-token"] = token.get_secret_value()
    named = _named(settings, options)
    prefix = _bucket_options(settings)
    if keys:
        named |= {f"{prefix}access.key": keys[0], f"{prefix}secret.key": keys[1]}
    if token:
        named[f"{prefix}session.token"] = token.get_secret_value()
    return named


def _bucket_options(settings: LakeSettings) -> str:
    """Hadoop's prefix of options for the region's bucket alone: no other bucket is opened with its keys."""
    return f"fs.s3a.bucket.{settings.bucket}."


def _keys(service: AwsService) -> tuple[str, str] | None:
    if service.access_key is None or service.secret_key is None:
        return None
    return service.access_key.get_secret_value(), service.secret_key.get_secret_value()


def _named(settings: LakeSettings, options: dict[str, str]) -> dict[str, str]:
    base = f"spark.sql.catalog.{settings.region}"
    return {f"{base}.{name}" if name else base: value for name, value in options.items()}
