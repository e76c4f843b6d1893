"""Thousands of random histories of a cluster keep every promise, and the simulation catches it where one is broken.

FLEETLAKE_SIMULATION_HISTORIES: how many histories (400), over two processes; 10,000 and more for a longer hunt.
FLEETLAKE_SIMULATION_FIRST: the first seed (0); another explores other histories.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from ingest.runtime.tasks import unless
from ingest.worker.shards import hand_over
from tests.simulation.history import play
from tests.simulation.hunt import Found, hunt
from tests.simulation.landing_away import LANDING_AWAY
from tests.simulation.mutants import MUTANTS, mutated

_HISTORIES = int(os.environ.get("FLEETLAKE_SIMULATION_HISTORIES", "400"))
_FIRST = int(os.environ.get("FLEETLAKE_SIMULATION_FIRST", "0"))
_SEEDS_A_MUTANT = 600
_LANDING_AWAY = 12
_BEHIND = re.compile(r"was ([0-9.]+) s behind at most")


@pytest.mark.timeout(0 if _HISTORIES > 1_000 else 600)
def test_no_history_breaks_a_promise(capfd: pytest.CaptureFixture[str]) -> None:
    found = hunt(_FIRST, _HISTORIES, processes=2)
    with capfd.disabled():
        print(f"\n{found.text()}")
    assert found.histories == _HISTORIES
    assert found.commits > found.histories
    assert found.failures == {}, found.text()


@pytest.mark.parametrize("mutant", sorted(MUTANTS))
def test_a_fault_put_in_on_purpose_is_caught(mutant: str) -> None:
    with mutated(mutant) as made:
        caught = next((seed for seed in range(_SEEDS_A_MUTANT) if play(seed, made).broken), None)
    assert caught is not None, f"{mutant}: {_SEEDS_A_MUTANT} histories show nothing"
    assert play(caught).broken == []


def test_live_state_does_not_wait_for_landing(capfd: pytest.CaptureFixture[str]) -> None:
    outcomes = [play(seed, plot=LANDING_AWAY) for seed in range(_LANDING_AWAY)]
    behind_s = sorted(float(_BEHIND.findall("\n".join(outcome.lines))[0]) for outcome in outcomes)
    with capfd.disabled():
        print(f"\nlanding away: live state behind by {behind_s[len(behind_s) // 2]} s, at most {behind_s[-1]} s")
    assert {outcome.seed: outcome.broken for outcome in outcomes if outcome.broken} == {}
    with patch.object(hand_over.HandOver, "unless_over", _stop_when_asked):
        assert any(play(seed, plot=LANDING_AWAY).broken for seed in range(_LANDING_AWAY))


async def _stop_when_asked(self: Any, read: Any) -> Any:
    """No reading while what was read is committed."""
    return await unless(self._asked, read)


def test_a_seed_gives_the_same_history_in_every_process() -> None:
    code = "from tests.simulation.history import play; print([play(seed).digest for seed in range(40)])"
    here = str([play(seed).digest for seed in range(40)])
    for salt in ("0", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": salt}
        root = Path(__file__).parents[2]
        answer = subprocess.run(
            [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=True
        )
        assert answer.stdout.strip() == here
    assert len(set(here.split(","))) == 40


def test_histories_are_eventful() -> None:
    text = "\n".join(line for seed in range(60) for line in play(seed).lines)
    for event in ("dies", "is frozen", "came too late", "took effect late", "lost", "twice", "is split", "are merged",
                  "is suspended", "is asked to stop", "is away", "is wiped", " breaks", "a slow record"):  # fmt: skip
        assert event in text, f"in 60 histories nothing {event}"


def test_a_broken_promise_is_told_with_the_command_that_plays_it_again() -> None:
    with mutated("no guard") as made:
        found = hunt(0, 3, made=made)
        again = play(min(found.failures), made)
    assert found.failures
    assert f"python -m tests.simulation --seed {min(found.failures)} --trace" in found.text()
    assert again.broken == found.failures[again.seed]
    assert Found().text().startswith("0 histories")
