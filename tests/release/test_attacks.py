"""Somebody with every published version of every day tries to compute a part of it that is another's."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from release.days import OtherDay
from release.pattern import choose
from release.policy import ALL, DeviceUse, Policy, cell_of, released
from tests.builders.release_worlds import KINDS, World, kept, learnt, random_world, under_plain_k, under_policy

POLICY = Policy(cohort_size=10, dominance_share=0.5)
SHARE = 24
"""Worlds of this test; `fleetlake bench release` has 1,000."""


def fleet(kind: str, count: int, km: float = 100.0, companies: int = 4, first: int = 0) -> list[DeviceUse]:
    """Devices of their own drivers, spread over companies."""

    def device(number: int) -> DeviceUse:
        company = f"c:{number % companies}"
        name = f"{kind}{number}"
        return DeviceUse(f"d:{name}", kind, (f"s:{name}",), 500, 30_000.0, 20_000.0, km, (company, company))

    return [device(number) for number in range(first, first + count)]


def varied(uses: list[DeviceUse], seed: int) -> list[DeviceUse]:
    """Another day of theirs: no two alike."""
    factor = [0.6 + 0.8 * ((place * 7919 + seed * 104_729) % 1000) / 1000 for place in range(len(uses))]
    return [
        replace(use, engine_s=30_000 * by, moving_s=20_000 * by, distance_km=use.distance_km * by)
        for use, by in zip(uses, factor, strict=True)
    ]


def shown_as(uses: list[DeviceUse], published: frozenset[str]) -> OtherDay:
    """A day of which these cells are published."""
    cells = {name: cell_of(use for use in uses if name in (ALL, use.device_type)) for name in published}
    return OtherDay(uses, {name: released(cell) for name, cell in cells.items()})


def learnt_by_anybody(*days: list[list[DeviceUse]]) -> set[tuple[str, str]]:
    return learnt(under_policy(World(list(days)), POLICY))


def test_the_attacker_learns_what_plain_k_lets_out():
    """So that an attacker who finds nothing is no comfort by itself."""
    world = World([[[*fleet("van", 9, companies=1), *fleet("van", 1, 137.0, companies=1, first=50)]]])
    (stranger,) = [replace(use, holders=("c:other",) * 2) for use in world.days[0][0][9:]]
    hidden = World([[[*world.days[0][0][:9], stranger]]])
    assert ("c:other", "distance_km") in learnt(under_plain_k(hidden, 10))
    assert learnt(under_policy(hidden, POLICY)) == set()


def test_a_withheld_kind_is_not_the_total_less_the_others():
    uses = [*fleet("car", 30), *fleet("van", 20), *fleet("bus", 2, 900.0)]
    shown = under_policy(World([[uses]]), POLICY)
    assert ALL in shown[0][-1]
    assert learnt(shown) == set()
    assert ("s:bus0", "distance_km") not in learnt(shown)


def test_one_late_device_is_not_the_second_version_less_the_first():
    first = fleet("car", 30)
    late = [replace(use, distance_km=430.0) if use.device == "d:car3" else use for use in first]
    assert learnt_by_anybody([first, late]) == set()
    assert ("s:car3", "distance_km") in learnt(under_plain_k(World([[first, late]]), 10))


def test_ten_late_devices_of_which_one_was_far_away_tell_of_that_one():
    """Its nine neighbours changed by metres: what the difference rests on are amounts, not heads."""
    first = fleet("car", 30)
    late = [replace(use, distance_km=use.distance_km + 0.004) for use in first[:9]]
    late += [replace(first[9], distance_km=600.0), *first[10:]]
    shown = under_policy(World([[first, late]]), POLICY)
    assert shown[0][0] == shown[0][1]
    even = [replace(use, distance_km=use.distance_km + 50) for use in first[:12]]
    again = under_policy(World([[first, [*even, *first[12:]]]]), POLICY)
    assert again[0][0] != again[0][1]
    assert learnt(again) == set()


def test_a_companys_late_fleet_does_not_show_a_strangers_late_van():
    first = fleet("van", 40, companies=5)
    moved = [use for use in first if use.holders[-1] == "c:0"] + [first[1]]
    assert len(moved) == 9
    late = [replace(use, distance_km=use.distance_km * 2) if use in moved else use for use in first]
    late += [replace(use, holders=("c:0",) * 2) for use in fleet("van", 4, first=90)]
    assert learnt_by_anybody([first, late]) == set()


@pytest.mark.parametrize("joins", [True, False])
def test_a_device_that_joins_or_leaves_a_routine_is_not_the_difference_of_two_days(joins):
    """Everybody else does today what they did yesterday."""
    few, many = fleet("bus", 20), fleet("bus", 21)
    days = ([few], [many]) if joins else ([many], [few])
    assert learnt_by_anybody(*days) == set()
    assert "s:bus20" in {name for name, _ in learnt(under_plain_k(World(list(days)), 10))}


def test_days_on_which_nothing_is_routine_are_all_published():
    whole = fleet("bus", 20)
    shown = under_policy(World([[varied(whole, 1)], [varied(whole, 2)], [varied(whole, 3)]]), POLICY)
    assert [sorted(steps[-1]) for steps in shown] == [[ALL, "bus"]] * 3
    assert learnt(shown) == set()


def test_a_total_less_the_kinds_of_both_days_is_compared_as_well():
    """The kinds changed all over; two hidden ones are as they were, but for one device that joined."""
    hidden = [*fleet("bus", 7), *fleet("truck", 7)]
    one = [*varied(fleet("car", 30), 1), *hidden]
    other = [*varied(fleet("car", 30), 2), *hidden, *fleet("bus", 1, 300.0, first=60)]
    before = choose(one, POLICY)
    assert before.with_total
    assert before.published == {"car"}
    beside = [shown_as(one, before.published | {ALL})]
    after = choose(other, POLICY, beside)
    assert not (after.with_total and "car" in after.published)
    assert not beside[0].rests_apart(other, {ALL, "car"}, POLICY)
    assert learnt_by_anybody([one], [other]) == set()


def test_what_a_total_hides_is_not_found_with_a_kind_that_is_published_the_day_after():
    """The cars cover one van; the day after there is no total, and the cars might be published alone."""
    cars, van, buses = fleet("car", 12), fleet("van", 1, 300.0), fleet("bus", 20)
    monday = choose([*cars, *van, *buses], POLICY)
    assert (monday.published, monday.with_total) == ({"bus"}, True)
    beside = shown_as([*cars, *van, *buses], monday.published | {ALL})
    assert not beside.rests_apart([*cars, *van, *fleet("bus", 21)], {"car"}, POLICY)
    assert learnt_by_anybody([[*cars, *van, *buses]], [[*cars, *van, *fleet("bus", 21)]]) == set()


def test_who_was_erased_since_is_not_what_the_next_day_lacks():
    """The marts have forgotten the erased bus, and the day before is published with it; all others do the same."""
    whole = fleet("bus", 21)
    before = shown_as(whole, frozenset({"bus", ALL}))
    erased = OtherDay(whole[:-1], before.values)
    assert not erased.apart("bus", whole[:-1], POLICY)
    assert choose(whole[:-1], POLICY, [erased]).published == frozenset()
    assert shown_as(whole[:-1], frozenset({"bus"})).apart("bus", whole[:-1], POLICY)
    moving = OtherDay(varied(whole, 1)[:-1], {"bus": released(cell_of(varied(whole, 1)))})
    assert moving.apart("bus", varied(whole[:-1], 2), POLICY)


def test_a_device_that_becomes_another_kind_hides_no_change_in_both():
    one = [*fleet("car", 24), *fleet("van", 24)]
    moved = {f"d:car{number}" for number in range(12)} | {f"d:van{number}" for number in range(12)}
    other = [
        replace(use, device_type={"car": "van", "van": "car"}[use.device_type]) if use.device in moved else use
        for use in varied(one, 5)
    ]
    beside = shown_as(one, frozenset({"car", "van"}))
    assert not beside.apart("car", other, POLICY)
    assert not beside.apart("van", other, POLICY)
    assert beside.apart("car", varied(one, 5), POLICY)


def test_the_customers_own_total_tells_it_nothing_that_it_does_not_know():
    """What a customer reads besides is the sum over its own devices: `learnt` gives every holder that exactly."""
    uses = [*fleet("car", 40, companies=5), *fleet("van", 25, companies=5)]
    own = [use for use in uses if use.holders[-1] == "c:0"]
    cell = cell_of(replace(use, device_type="c:0", holders=()) for use in own)
    assert POLICY.allows(cell)
    assert released(cell)["distance_km"] == 1300.0
    shown = under_policy(World([[uses]]), POLICY)
    assert not {name for name, _ in learnt(shown)} - {"c:0"}


@pytest.mark.parametrize("seed", range(SHARE))
def test_in_a_random_world_nobody_learns_anybody(seed):
    assert learnt(under_policy(random_world(seed), POLICY)) == set()


def test_what_survives_of_the_random_worlds_is_of_use():
    worlds = [random_world(seed) for seed in range(8)]
    ours = sum(kept(under_policy(world, POLICY)) for world in worlds)
    plain = sum(kept(under_plain_k(world, POLICY.cohort_size)) for world in worlds)
    assert 0.2 <= ours / plain <= 1


hostile = st.lists(
    st.tuples(
        st.sampled_from(KINDS[:2]),
        st.sampled_from([0.0, 0.001, 1.0, 99.0, 100.0, 1e5]),
        st.sampled_from([0.0, 1.0, 86_399.0, 86_400.0]),
        st.integers(0, 4),
        st.integers(0, 9),
    ),
    min_size=4,
    max_size=16,
)
SMALL = Policy(cohort_size=3, dominance_share=0.9)


def as_day(rows: list[tuple[str, float, float, int, int]]) -> list[DeviceUse]:
    return [
        DeviceUse(f"d:{place}", kind, (f"s:{driver}",), 10 + place, seconds, seconds, km, (f"f:{company}",) * 2)
        for place, (kind, km, seconds, company, driver) in enumerate(rows)
    ]


@settings(max_examples=80, deadline=None)
@given(st.lists(hostile, min_size=1, max_size=3), st.booleans())
def test_hostile_aggregates_tell_nothing_whatever_comes_late_or_the_day_after(versions, late):
    steps = [as_day(rows) for rows in versions]
    world = World([steps] if late else [[step] for step in steps])
    assert learnt(under_policy(world, SMALL)) == set()
