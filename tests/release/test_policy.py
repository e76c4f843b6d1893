"""The release policy as arithmetic: what is published of a day, and that nothing withheld can be computed from it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from release.pattern import choose
from release.policy import (
    SUMS,
    DeviceUse,
    Policy,
    by_type,
    cell_of,
    released,
    residual_of,
    round_count,
    round_sum,
)

K = 4
POLICY = Policy(cohort_size=K, dominance_share=0.5)

devices = st.lists(
    st.builds(
        DeviceUse,
        device=st.uuids().map(str),
        device_type=st.sampled_from(["car", "van", "truck", "bus"]),
        contributors=st.sets(st.sampled_from([f"s{n}" for n in range(12)]), min_size=1, max_size=2).map(
            lambda names: tuple(sorted(names))
        ),
        records=st.integers(1, 100_000),
        engine_s=st.integers(0, 86_400).map(float),
        moving_s=st.integers(0, 86_400).map(float),
        distance_km=st.integers(0, 1_000).map(float),
    ),
    max_size=40,
)


def uses(kind: str, count: int, *, first: int = 0, distance_km: float = 10.0) -> list[DeviceUse]:
    """Devices of one kind, each its own contributor."""
    names = [f"{kind}{first + n}" for n in range(count)]
    return [DeviceUse(name, kind, (name,), 100, 3600.0, 3000.0, distance_km) for name in names]


def test_a_cell_under_k_contributors_is_withheld():
    pattern = choose(uses("car", K - 1), POLICY)
    assert (pattern.published, pattern.with_total) == (frozenset(), False)


def test_a_cell_under_k_devices_is_withheld_however_many_drive_them():
    shared = [DeviceUse(f"van{n}", "van", (f"a{n}", f"b{n}"), 100, 3600.0, 3000.0, 10.0) for n in range(K - 1)]
    assert choose(shared, POLICY).published == frozenset()


def test_devices_of_one_subject_are_one_contributor():
    fleet = [DeviceUse(f"car{n}", "car", ("subject",), 100, 3600.0, 3000.0, 10.0) for n in range(20)]
    assert not choose(fleet, POLICY).with_total


@pytest.mark.parametrize("amount", SUMS)
def test_a_cell_that_one_contributor_dominates_is_withheld(amount):
    giant = {"records": 1, "engine_s": 1.0, "moving_s": 1.0, "distance_km": 1.0, amount: 1e6}
    fleet = [*uses("car", 2 * K), DeviceUse("giant", "car", ("giant",), **giant)]
    assert "car" not in choose(fleet, POLICY).published
    assert "car" in choose(fleet[:-1], POLICY).published


def test_the_next_smallest_sibling_is_withheld_where_one_cell_could_be_subtracted():
    pattern = choose(uses("car", 20) + uses("van", 6) + uses("bus", 1), POLICY)
    assert pattern.with_total
    assert pattern.published == {"car"}


def test_two_small_cells_that_cover_each_other_need_no_third():
    pattern = choose(uses("car", 20) + uses("van", 3) + uses("bus", 3), POLICY)
    assert pattern.published == {"car"}
    assert choose(uses("car", 20) + uses("van", 1) + uses("bus", 1), POLICY).published == frozenset()


@settings(deadline=None)
@given(devices)
def test_no_published_cell_is_small_or_dominated(fleet):
    pattern = choose(fleet, POLICY)
    kinds = by_type(fleet)
    cells = [cell_of(kinds[kind]) for kind in pattern.published] + [cell_of(fleet)] * pattern.with_total
    for cell in cells:
        assert len(cell.contributors) >= K
        for amount in SUMS:
            largest = max(getattr(part, amount) for part in cell.contributors.values())
            assert largest <= 0.5 * getattr(cell.total, amount)


@settings(deadline=None)
@given(devices)
def test_the_total_less_its_published_siblings_is_nobody_or_a_cohort(fleet):
    pattern = choose(fleet, POLICY)
    if not pattern.with_total:
        return
    rest = residual_of(fleet, pattern.published)
    hidden = by_type(fleet).keys() - pattern.published
    assert not hidden or (len(hidden) > 1 and len(rest.contributors) >= K and POLICY.allows(rest))


@settings(deadline=None)
@given(devices)
def test_whatever_is_published_is_rounded(fleet):
    values = released(cell_of(fleet))
    assert values["cohort"] % 5 == values["devices"] % 5 == 0
    assert all(
        float(f"{values[name]:.3g}") == values[name] for name in ("records", "engine_h", "moving_h", "distance_km")
    )


@given(st.integers(0, 10**9), st.floats(0, 1e12))
def test_rounding_stays_near(count, value):
    assert abs(round_count(count) - count) <= 2
    assert abs(round_sum(value) - value) <= 0.005 * value
