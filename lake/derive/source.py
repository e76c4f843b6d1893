"""What a derivation reads: history at one snapshot, no more of it than its days depend on."""

from collections.abc import Iterable
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import msgspec
from pyspark.sql import DataFrame, SparkSession

from contracts.names import HISTORY_TABLE
from contracts.settings import LakeSettings
from lake.derive.business_days import (
    ONE_DAY,
    midnight,
    noon,
    runs_of,
)
from lake.derive.motion.readings import READ
from lake.derive.motion.rules import TripRules
from lake.iceberg.tables import history
from lake.merge.spans import Span, joined, sql_condition


class Pinned(msgspec.Struct, frozen=True):
    """One snapshot of history."""

    snapshot_id: int
    sequence: int


def pin(settings: LakeSettings) -> Pinned | None:
    """History's newest snapshot; None where nothing was merged yet."""
    snapshot = history(settings).current_snapshot()
    return None if snapshot is None else Pinned(snapshot.snapshot_id, snapshot.sequence_number or 0)


def spans_of(days: Iterable[date], rules: TripRules) -> list[Span]:
    """The event times that these business days depend on.

    Day D: from its midnight less a gap and a stop, for what moved into it, to the next noon inclusive, where a trip
    that began in it ends at the latest.
    """
    zone = ZoneInfo(rules.time_zone)
    before, noon_itself = timedelta(seconds=rules.look_back_s), timedelta(milliseconds=1)
    return joined(
        Span(midnight(first, zone) - before, noon(last + ONE_DAY, zone) + noon_itself) for first, last in runs_of(days)
    )


def read_history(spark: SparkSession, settings: LakeSettings, pinned: Pinned, spans: list[Span]) -> DataFrame:
    """The columns lake.derive.motion.readings.READ of history within the spans, as of the pinned snapshot."""
    table = spark.read.option("snapshot-id", pinned.snapshot_id).table(settings.spark_table(HISTORY_TABLE))
    return table.where(sql_condition("ts", spans)).select(*READ)
