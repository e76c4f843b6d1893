"""What `fleetlake bench trail` asks: days of few and many devices, landed, merged and rewritten by the product."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from pyspark.sql import SparkSession

from bench.landed import land, telemetry
from contracts.names import arrival_hour
from contracts.settings import RegionSettings
from lake.jobs import MergeLanding
from lake.maintain.job import rewrite_closed_days
from lake.merge.device_index import index_devices
from lake.run import run as run_job

EACH = 288
"""Records of a device in a day: one in five minutes."""
STEP = timedelta(minutes=5)
_FIRST_DAY = datetime(2026, 10, 5, tzinfo=UTC)
_STRAGGLERS_ARRIVE = datetime(2026, 10, 20, tzinfo=UTC)
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
MERGES = 4
"""Commits of a day: as many files of each bucket before the rewrite."""
_OTHERS = 900_000
"""Number of the first device of which there are only stragglers, or records of the running hour."""


class Days:
    """A day of history for each number of devices."""

    def __init__(self, settings: RegionSettings, sizes: Sequence[int]) -> None:
        self._settings, self._place = settings, 0
        self.of = {devices: _FIRST_DAY + number * _DAY for number, devices in enumerate(sizes)}

    def merge(self, spark: SparkSession) -> None:
        """Land all days hour by hour, and merge them in MERGES commits each."""
        for part in range(MERGES):
            first, last = part * 24 // MERGES, (part + 1) * 24 // MERGES
            hours = [day + hour * _HOUR for day in self.of.values() for hour in range(first, last)]
            for devices, day in self.of.items():
                for hour in range(first, last):
                    self._land(range(devices), day + hour * _HOUR, EACH // 24)
            run_job(spark, self._settings, MergeLanding(region=self._settings.region, hours=hours))

    def rewrite(self, spark: SparkSession) -> None:
        """Rewrite each day as maintenance does."""
        rewrite_closed_days(spark, self._settings, max(self.of.values()) + 2 * _DAY, len(self.of))

    def add_stragglers(self, spark: SparkSession, objects: int) -> None:
        """So many objects with a straggler for each of the days, of devices of their own, which wait."""
        hours = [_STRAGGLERS_ARRIVE + number % 24 * _HOUR for number in range(objects)]
        for number, hour in enumerate(hours):
            late = [telemetry(range(_OTHERS + number, _OTHERS + number + 1), day, 1, STEP) for day in self.of.values()]
            on_time = telemetry(range(_OTHERS + number, _OTHERS + number + 1), hour, 10, STEP)
            self._put([on_time, *late], hour)
        run_job(spark, self._settings, MergeLanding(region=self._settings.region, hours=sorted(set(hours))))
        index_devices(self._settings)

    def add_running_hour(self, objects: int, devices: int = 50) -> datetime:
        """So many objects of the running hour, each of devices of its own; nothing is merged. Returns the hour."""
        hour = arrival_hour(datetime.now(UTC))
        for number in range(objects):
            first = _OTHERS + number * devices
            self._land(range(first, first + devices), hour, 2)
        return hour

    def _land(self, devices: range, hour: datetime, records: int) -> None:
        self._put([telemetry(devices, hour, records, STEP)], hour)

    def _put(self, tables: Sequence[pa.Table], hour: datetime) -> None:
        self._place += 1
        land(
            self._settings,
            pa.concat_tables(tables).sort_by([("device_id", "ascending"), ("ts", "ascending")]),
            hour,
            self._place,
        )


def name_of(number: int) -> str:
    """The device of that number."""
    return f"veh-{number:05d}"
