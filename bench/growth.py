"""Whether a history costs more a record the longer it is: a third of the days, two thirds, all, each at once.

Each length lands in a stack of its own, and is merged, derived and reconciled as `bench backfill` does it.
"""

import os

os.environ.setdefault("FLEETLAKE_BENCH_BACKFILL_DEVICES", "1000")
os.environ.setdefault("FLEETLAKE_BENCH_BACKFILL_DAYS", "30")
os.environ.setdefault("FLEETLAKE_BENCH_BACKFILL_ROWS", "6000000")

import stack
from bench.backfill import DAYS, DEVICES, Done, work_through
from bench.one_region import REGION, stack_of_one_region
from bench.rows import Row
from contracts.settings import RegionSettings
from lake.iceberg.tables import ensure_tables
from tests.builders.lake import Landing

PARTS = 3


def run() -> list[Row]:
    """Seconds from landing to proof; ratio is of the seconds a record, over the shortest history's."""
    lengths = [DAYS * part // PARTS for part in range(1, PARTS + 1)]
    done = {days: _work(days) for days in lengths}
    first = _seconds(done[lengths[0]]) / done[lengths[0]].rows
    return [
        Row(
            id=f"total_{days}_days",
            what=f"{one.rows:,} rows of {days} days and {DEVICES:,} devices: merge, derivation, reconciliation",
            value=round(_seconds(one), 1),
            unit="s",
            peer=f"a record's seconds of {lengths[0]} days, so often",
            peer_value=round(first * one.rows, 1),
            ratio=round(_seconds(one) / one.rows / first, 2),
        )
        for days, one in done.items()
    ]


def _work(days: int) -> Done:
    with stack_of_one_region() as state:
        settings = RegionSettings.load(stack.region_environment(state, REGION))
        ensure_tables(settings)
        return work_through(Landing(settings), range(days))


def _seconds(done: Done) -> float:
    return sum(part.seconds for part in (done.merge, done.derive, done.proof))
