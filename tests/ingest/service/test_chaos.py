"""Real workers killed while shards split and merge, in short; `fleetlake bench chaos` is the same at length."""

import asyncio
import os
from pathlib import Path

from bench.chaos import Pace, chaos, check
from tests.builders.consumer_process import CHAOTIC

SECONDS = float(os.environ.get("FLEETLAKE_CHAOS_S", "4"))
QUICK = Pace(kill_every_s=(0.8, 1.4), reshard_every_s=0.8, away_s=(0.0, 2.0), lease_ttl_s=2.0, least_kills=2)


def test_killed_workers_lose_and_double_nothing_while_shards_split_and_merge(one_region: Path) -> None:
    outcome = asyncio.run(chaos(one_region, CHAOTIC, SECONDS, QUICK, seed=3))
    check(outcome)
    assert len(outcome.kills) >= 2
    assert outcome.splits + outcome.merges >= 2
    assert outcome.put > 4_000
