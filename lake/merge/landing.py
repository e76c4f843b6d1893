"""Landing objects as frames: read by their exact keys, never by a listing."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.window import Window

from contracts.identity import IDENTITY
from contracts.ledger import ON_TIME_AFTER_S, ON_TIME_BEFORE_S
from contracts.names import SEQUENCE_DIGITS
from contracts.record import LANDING_SCHEMA
from contracts.settings import LakeSettings
from lake.merge.plan import Kind
from lake.merge.spans import HOUR_OF_KEY, Span, day_span, hour_of_key, joined, on_time_span


def read_landing(spark: SparkSession, settings: LakeSettings, keys: Sequence[str], kind: Kind) -> DataFrame:
    """Rows of one kind of these objects, in landing's columns."""
    paths = [f"s3a://{settings.bucket}/{key}" for key in keys]
    rows = spark.read.schema(from_arrow_schema(LANDING_SCHEMA)).parquet(*paths)
    on_time = _is_on_time(fn.col("_metadata.file_path"))
    return rows.where(on_time if kind is Kind.ON_TIME else ~on_time).select(*LANDING_SCHEMA.names)


def event_spans(rows: DataFrame, kind: Kind, keys: Sequence[str]) -> list[Span]:
    """Where the event times of these objects' rows lie: known by the keys for rows on time, looked up else."""
    if kind is Kind.ON_TIME:
        return joined(on_time_span(hour_of_key(key)) for key in keys)
    days = rows.select(fn.to_date("ts").alias("day")).distinct().collect()
    return joined(day_span(row["day"]) for row in days)


def one_row_an_identity(rows: DataFrame) -> DataFrame:
    """The row of each identity that arrived first, in landing's columns."""
    window = Window.partitionBy(*IDENTITY).orderBy(*arrival_order(""))
    return rows.withColumn("_place", fn.row_number().over(window)).where("_place = 1").select(*LANDING_SCHEMA.names)


def with_columns_of(rows: DataFrame, table: DataFrame) -> DataFrame:
    """The rows with null in the columns that the table has besides: those of a newer version of the contract."""
    fields = [field for field in table.schema.fields if field.name not in rows.columns]
    return rows.select("*", *(fn.lit(None).cast(field.dataType).alias(field.name) for field in fields))


def arrival_order(prefix: str) -> list[Column]:
    """What decides which of two rows with one identity came first: it is never the same for two user records."""
    sequence = fn.lpad(fn.col(f"{prefix}sequence_number"), SEQUENCE_DIGITS, "0")
    return [
        fn.col(f"{prefix}arrival_ts"),
        fn.col(f"{prefix}shard_id"),
        sequence,
        fn.col(f"{prefix}sub_sequence"),
    ]


def _is_on_time(path: Column) -> Column:
    """Whether ts lies in the on-time range of the arrival hour that the object's key names."""
    day, hour = fn.regexp_extract(path, HOUR_OF_KEY, 1), fn.regexp_extract(path, HOUR_OF_KEY, 2)
    start = fn.unix_timestamp(fn.to_timestamp(fn.concat(day, fn.lit(" "), hour, fn.lit(":00:00"))))
    ts = fn.unix_millis("ts")
    return (ts >= (start - ON_TIME_BEFORE_S) * 1000) & (ts < (start + 3600 + ON_TIME_AFTER_S) * 1000)
