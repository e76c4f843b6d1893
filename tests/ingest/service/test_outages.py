"""Real stores away under a real worker, in short; `fleetlake bench outages` is the same at length, one by one."""

import asyncio
import os

from bench.one_region import stack_of_one_region
from bench.outages import check, outage

SECONDS = float(os.environ.get("FLEETLAKE_OUTAGE_S", "4"))
MOST_MIB = 600
"""A worker's own 250 MiB, its buffer, and what encoding and reading take for a moment."""


def test_s3_down_and_dynamodb_throttled_at_once_cost_time_only() -> None:
    with stack_of_one_region() as state:
        outcome = asyncio.run(outage(state, "s3+dynamodb", SECONDS))
    check(outcome)
    assert outcome.put >= 2_000 * SECONDS
    assert outcome.rss_peak_mib < MOST_MIB
