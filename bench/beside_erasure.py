"""What goes on in a region while devices are erased: records of others land and are merged, and their past is read."""

import threading
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta

from pyspark.sql import SparkSession

from bench.landed import telemetry
from contracts.names import arrival_hour
from contracts.settings import RegionSettings
from lake.merge.intake import due_merges
from lake.merge.job import merge_landing
from lake.trail import trail
from tests.builders.lake import Landing

_DEVICES, _RECORDS = 10, 20
_STEP = timedelta(minutes=1)


class Beside:
    """Within the block rows of other devices land and are merged, and the same past of another is read.

    devices: the first of those whose rows land; the past of one more behind them is read.
    first: the event time of the first rows; later rounds follow it by the hour.
    """

    def __init__(self, landing: Landing, spark: SparkSession, devices: int, first: datetime) -> None:
        self._landing, self._spark, self._first = landing, spark, first
        self._coming, self._read = range(devices, devices + _DEVICES), f"veh-{devices + _DEVICES:05d}"
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._guarded, args=(work,)) for work in (self._merge, self._look)]
        self.merged_rows, self.merges, self.reads, self.wrong_reads = 0, 0, 0, 0
        self._failures: list[str] = []

    def __enter__(self) -> "Beside":
        self._expected = self._points()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise AssertionError("\n".join(self._failures))

    @property
    def _settings(self) -> RegionSettings:
        return self._landing.settings

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            while not self._ending.is_set():
                work()
        except Exception:  # noqa: BLE001 - told when the block ends
            self._failures.append(traceback.format_exc())
            self._ending.set()

    def _merge(self) -> None:
        start = self._first + timedelta(hours=self.merges)
        made = telemetry(self._coming, start, _RECORDS, _STEP, arrival=start + timedelta(hours=1))
        self._landing.land(made, hour=arrival_hour(start + timedelta(hours=1)))
        due = due_merges(self._settings, start + timedelta(days=2), open_hours=True)
        merge_landing(self._spark, self._settings, due.hours, stragglers=True)
        self.merged_rows += made.num_rows
        self.merges += 1

    def _look(self) -> None:
        self.reads += 1
        self.wrong_reads += self._points() != self._expected
        self._ending.wait(0.2)

    def _points(self) -> int:
        day = self._first - timedelta(days=3)
        return trail(self._settings, self._read, day, day + timedelta(days=1)).records.num_rows
