"""Landing objects as frames: read by their exact keys, never by a listing."""

from collections.abc import Sequence

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.window import Window

from contracts.errors import NotReconciled
from contracts.identity import IDENTITY
from contracts.ledger import ON_TIME_AFTER_S, ON_TIME_BEFORE_S
from contracts.names import SEQUENCE_DIGITS, bucket
from contracts.record import LANDING_SCHEMA
from contracts.settings import RegionSettings
from lake.merge.plan import Kind

_HOUR_OF_KEY = r"/dt=(\d{4}-\d{2}-\d{2})/hour=(\d{2})/"


def read_landing(spark: SparkSession, settings: RegionSettings, keys: Sequence[str], kind: Kind) -> DataFrame:
    """Rows of one kind of these objects, in landing's columns.

    Raises NotReconciled where an object that the ledger lists is not in S3.
    """
    paths = [f"s3a://{bucket(settings.region)}/{key}" for key in keys]
    try:
        rows = spark.read.schema(from_arrow_schema(LANDING_SCHEMA)).parquet(*paths)
    except AnalysisException as error:
        if error.getCondition() != "PATH_NOT_FOUND":
            raise
        raise NotReconciled(
            f"the ledger lists a landing object that bucket {bucket(settings.region)} does not have: "
            f"{error.getMessageParameters().get('path', '')}; restore it, or run `fleetlake reconcile`"
        ) from None
    on_time = _is_on_time(F.col("_metadata.file_path"))
    return rows.where(on_time if kind is Kind.ON_TIME else ~on_time).select(*LANDING_SCHEMA.names)


def one_row_an_identity(rows: DataFrame) -> DataFrame:
    """The row of each identity that arrived first, in landing's columns."""
    window = Window.partitionBy(*IDENTITY).orderBy(*arrival_order(""))
    return rows.withColumn("_place", F.row_number().over(window)).where("_place = 1").select(*LANDING_SCHEMA.names)


def arrival_order(prefix: str) -> list[F.Column]:
    """What decides which of two rows with one identity came first: it is never the same for two user records."""
    sequence = F.lpad(F.col(f"{prefix}sequence_number"), SEQUENCE_DIGITS, "0")
    return [
        F.col(f"{prefix}arrival_ts"),
        F.col(f"{prefix}shard_id"),
        sequence,
        F.col(f"{prefix}sub_sequence"),
    ]


def _is_on_time(path: F.Column) -> F.Column:
    """Whether ts lies in the on-time range of the arrival hour that the object's key names."""
    day, hour = F.regexp_extract(path, _HOUR_OF_KEY, 1), F.regexp_extract(path, _HOUR_OF_KEY, 2)
    start = F.unix_timestamp(F.to_timestamp(F.concat(day, F.lit(" "), hour, F.lit(":00:00"))))
    ts = F.unix_millis("ts")
    return (ts >= (start - ON_TIME_BEFORE_S) * 1000) & (ts < (start + 3600 + ON_TIME_AFTER_S) * 1000)
