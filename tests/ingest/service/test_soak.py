"""Reshardings, keys that expire, an empty Redis and a skewed S3, in short; `fleetlake bench soak` at length."""

import asyncio
import os

import pytest

from bench.one_region import REGION, stack_of_one_region
from bench.soak import Pace, check, rows_of, soak

SECONDS = float(os.environ.get("FLEETLAKE_SOAK_S", "12"))


@pytest.mark.long
def test_a_service_loses_and_doubles_nothing_while_all_that_it_needs_changes() -> None:
    pace = Pace(
        seconds=SECONDS, records_s=1_000, reshard_every_s=2, key_life_s=4, part_s=SECONDS / 3, skew_s=2, flush_age_s=0.5
    )
    with stack_of_one_region() as state:
        outcome = asyncio.run(soak(state, REGION, pace))
    check(outcome)
    figures = {row.id: row.value for row in rows_of(outcome)}
    assert figures["put"] >= 900 * SECONDS
    assert figures["reshardings"] >= 3
    assert figures["keys"] >= 3
    assert figures["expired"] >= 1
    assert figures["skewed"] >= 1
    assert figures["refused"] == 0
    assert figures["errors"] == 0
    assert figures["redis"] > 0
