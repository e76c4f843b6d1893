"""The release policy beside plain k-anonymity: whose amounts can be computed from what is published, and how much is.

1,000 random worlds of 24 to 69 devices, two business days and three publications a day: companies of very different
sizes, private persons, late data, devices that join and leave, and days like the day before. Everybody who contributes
or holds devices tries to compute everybody else's amounts (tests/builders/release_worlds.py says how).
"""

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor

from bench.rows import Row

WORLDS = 1_000
COHORT, DOMINANCE = 10, 0.5
PEER = f"plain k = {COHORT}"
_PORTION = 20

_Counts = tuple[int, int, int]
"""Amounts learnt, worlds with one, cells that can be read in the end."""


def run(worlds: int = WORLDS) -> list[Row]:
    """Values learnt within 10 % over all worlds, worlds in which any was, and the share of cells that survive."""
    portions = [range(first, min(first + _PORTION, worlds)) for first in range(0, worlds, _PORTION)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(tally, portions))
    ours, plain = (_total(one[place] for one in found) for place in (0, 1))
    return [
        _row("learnt_within_10pct", "amounts that somebody computes within 10 %", ours[0], plain[0], "amounts"),
        _row("worlds_with_a_leak", f"worlds of {worlds:,} with such an amount", ours[1], plain[1], "worlds"),
        _row("cells_published", "cells that can be read in the end", ours[2], plain[2], "cells"),
        Row(
            id="cells_kept_vs_plain_k",
            what="share of the peer's cells that survive",
            value=round(100 * ours[2] / plain[2], 1),
            unit="%",
            peer=PEER,
            peer_value=100.0,
            ratio=round(ours[2] / plain[2], 3),
        ),
    ]


def tally(seeds: Iterable[int]) -> tuple[_Counts, _Counts]:
    """Counts of the policy and of plain k over these worlds."""
    from release.policy import Policy
    from tests.builders.release_worlds import kept, learnt, random_world, under_plain_k, under_policy

    policy = Policy(COHORT, DOMINANCE)
    counts: list[tuple[_Counts, _Counts]] = []
    for seed in seeds:
        world = random_world(seed)
        shown = under_policy(world, policy), under_plain_k(world, COHORT)
        values = [len(learnt(one)) for one in shown]
        ours, plain = ((value, int(value > 0), kept(one)) for value, one in zip(values, shown, strict=True))
        counts.append((ours, plain))
    return _total(ours for ours, _ in counts), _total(plain for _, plain in counts)


def _total(counts: Iterable[_Counts]) -> _Counts:
    values, worlds, cells = zip(*counts, strict=True)
    return sum(values), sum(worlds), sum(cells)


def _row(name: str, what: str, ours: int, peers: int, unit: str) -> Row:
    ratio = round(ours / peers, 3) if peers else None
    return Row(id=name, what=what, value=ours, unit=unit, peer=PEER, peer_value=peers, ratio=ratio)
