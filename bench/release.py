"""The release policy beside plain k-anonymity: whose amounts can be computed from what is published, and how much is.

1,000 random worlds of 24 to 69 devices, two business days and three publications a day: companies of very different
sizes, private persons, late data, devices that join and leave, and days like the day before. Everybody who contributes
or holds devices tries to compute everybody else's amounts (tests/builders/release_worlds.py says how).
"""

from bench.rows import Row

WORLDS = 1_000
COHORT, DOMINANCE = 10, 0.5
PEER = f"plain k = {COHORT}"


def run(worlds: int = WORLDS) -> list[Row]:
    """Values learnt within 10 % over all worlds, worlds in which any was, and the share of cells that survive."""
    from release.policy import Policy
    from tests.builders.release_worlds import kept, learnt, random_world, under_plain_k, under_policy

    policy = Policy(COHORT, DOMINANCE)
    counts = {name: [0, 0, 0] for name in ("policy", "plain")}
    for seed in range(worlds):
        world = random_world(seed)
        for name, shown in (("policy", under_policy(world, policy)), ("plain", under_plain_k(world, COHORT))):
            values = len(learnt(shown))
            found = counts[name]
            counts[name] = [found[0] + values, found[1] + (values > 0), found[2] + kept(shown)]
    ours, plain = counts["policy"], counts["plain"]
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


def _row(name: str, what: str, ours: int, peers: int, unit: str) -> Row:
    ratio = round(ours / peers, 3) if peers else None
    return Row(id=name, what=what, value=ours, unit=unit, peer=PEER, peer_value=peers, ratio=ratio)
