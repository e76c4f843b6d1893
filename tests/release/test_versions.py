"""What may be published again: no difference of versions, of cells or of sums of cells rests on less than a cohort."""

from dataclasses import replace
from datetime import date
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from release.marks import (
    WHO_BYTES,
    changed,
    contributors,
    marker,
    who,
)
from release.policy import (
    ALL,
    SUMS,
    Cell,
    DeviceUse,
    Policy,
    by_type,
    cell_of,
)
from release.versions import (
    RESIDUAL,
    Version,
    in_force,
    next_versions,
)

K = 3
POLICY = Policy(cohort_size=K, dominance_share=0.9)
DAY = date(2026, 3, 2)
MARKS = marker(b"key of the region", "utilisation_day", DAY)
KINDS = ("car", "van", "bus")


def fleet(kind: str, names: range, distance_km: float = 10.0) -> list[DeviceUse]:
    return [DeviceUse(f"{kind}{n}", kind, (f"{kind}{n}",), 100, 3600.0, 3000.0, distance_km) for n in names]


def driven(by: tuple[str, ...], uses: list[DeviceUse]) -> list[DeviceUse]:
    """The same devices, tied to these people."""
    return [replace(use, contributors=by) for use in uses]


def publish(uses: list[DeviceUse], versions: list[Version]) -> list[Version]:
    return next_versions(uses, versions, POLICY, MARKS)


def test_publishing_the_same_day_again_changes_nothing():
    uses = fleet("car", range(9)) + fleet("van", range(1))
    assert publish(uses, publish(uses, [])) == []


def test_late_data_of_fewer_than_k_leaves_the_published_value():
    first = publish(fleet("car", range(9)), [])
    late = fleet("car", range(9 - (K - 1))) + fleet("car", range(9 - (K - 1), 9), distance_km=500.0)
    assert publish(late, first) == []


def test_late_data_of_k_restates_the_cell_and_its_total():
    first = publish(fleet("car", range(9)), [])
    late = fleet("car", range(9 - K)) + fleet("car", range(9 - K, 9), distance_km=20.0)
    second = publish(late, first)
    assert [(one.cell, one.version) for one in second] == [("car", 2), (ALL, 2)]
    assert in_force(first + second)["car"]["distance_km"] == (9 - K) * 10 + K * 20


def test_a_restatement_is_compared_with_every_version():
    first = publish(fleet("car", range(9)), [])
    second = publish(fleet("car", range(9 + K)), first)
    back = fleet("car", range(8))  # K + 1 less than the second, and one less than the first
    assert second
    assert publish(back, first + second) == []


@pytest.mark.parametrize("drivers_before", [1, K])
def test_one_device_is_not_restated_however_many_drive_it(drivers_before):
    """The second version less the first would be that van."""
    crew = [f"driver{n}" for n in range(K)]
    others = fleet("van", range(1, 9))
    first = publish(driven(tuple(crew[:drivers_before]), fleet("van", range(1))) + others, [])
    late = driven(tuple(crew), fleet("van", range(1), distance_km=11.0))
    assert in_force(first).keys() == {"van", ALL}
    assert publish(late + others, first) == []


def test_devices_of_one_driver_are_not_restated_whoever_else_is_tied_anew():
    shared = driven(("driver",), fleet("van", range(K)))
    first = publish(shared + fleet("van", range(K, 12)), [])
    late = driven(("driver",), fleet("van", range(K), distance_km=11.0))
    tied = [replace(use, contributors=(f"new {use.device}",)) for use in fleet("van", range(K, 12))]
    assert in_force(first).keys() == {"van", ALL}
    assert publish(late + tied, first) == []


def test_each_sum_rests_on_a_cohort_of_its_own():
    """K cars sent late records, and one of them drove further."""
    first = publish(fleet("car", range(9)), [])
    late = [replace(use, records=101) for use in fleet("car", range(K))]
    further = [replace(late[0], distance_km=11.0), *late[1:]]
    assert publish(further + fleet("car", range(K, 9)), first) == []
    assert [one.cell for one in publish(late + fleet("car", range(K, 9)), first)] == ["car", ALL]


def test_a_device_without_a_distance_hides_nobody_elses():
    first = publish(fleet("car", range(9)), [])
    late = fleet("car", range(K - 1), distance_km=11.0) + fleet("car", range(K - 1, 9))
    assert publish(late + fleet("car", range(9, 9 + K), distance_km=0.0), first) == []


def test_a_day_of_which_nothing_was_published_is_chosen_again():
    empty = publish([], [])
    little = fleet("car", range(1)) + fleet("van", range(1))
    few = empty + publish(little, empty)
    assert publish(little, few) == []
    full = publish(fleet("car", range(9)) + fleet("van", range(9)), few)
    assert in_force(few) == {}
    assert in_force(few + full).keys() == {"car", "van", ALL}
    assert len({(one.cell, one.version) for one in few + full}) == len(few + full)
    assert publish(fleet("car", range(10)) + fleet("van", range(9)), few + full) == []


def test_what_was_not_published_is_no_version_to_compare_with():
    """One person drives a car and a van, and neither changed since they were published."""
    both = driven(("driver",), fleet("car", range(1)) + fleet("van", range(1)))
    few = publish(both, [])
    full = few + publish(both + fleet("car", range(1, 9)) + fleet("van", range(1, 9)), few)
    late = both + fleet("car", range(1, 9 + K)) + fleet("van", range(1, 9))
    assert [one.cell for one in publish(late, full)] == ["car", ALL]


def test_a_cell_withheld_at_first_is_never_published():
    first = publish(fleet("car", range(9)) + fleet("van", range(1)) + fleet("bus", range(2)), [])
    grown = publish(fleet("car", range(9)) + fleet("van", range(9)) + fleet("bus", range(9)), first)
    assert "van" not in in_force(first + grown)
    assert ALL in {one.cell for one in grown}


def test_the_total_stands_while_a_part_of_it_stands():
    first = publish(fleet("car", range(9)) + fleet("van", range(9)), [])
    now = fleet("car", range(9 + K)) + fleet("van", range(10))  # the total alone would show the tenth van
    second = publish(now, first)
    assert [one.cell for one in second] == ["car"]
    assert in_force(first + second)[ALL] == in_force(first)[ALL]


def test_devices_that_change_kind_do_not_restate_two_cells_whose_sum_would_show_one_other():
    first = publish(fleet("car", range(12)) + fleet("van", range(12)), [])
    moved = [replace(use, device_type="van") for use in fleet("car", range(K))]
    now = fleet("car", range(K, 12)) + fleet("van", range(12)) + moved + fleet("van", range(12, 13))
    assert publish(now, first) == []


def test_a_frozen_cell_and_its_total_stand():
    first = [
        replace(one, frozen=one.cell == "car") for one in publish(fleet("car", range(9)) + fleet("van", range(9)), [])
    ]
    now = fleet("car", range(9 + K)) + fleet("van", range(9 + K))
    assert [one.cell for one in publish(now, first)] == ["van"]


def test_marks_name_nobody_and_differ_by_day_and_key():
    cell = cell_of(fleet("car", range(9)))
    assert b"car0" not in b"".join(MARKS(cell))
    others = (
        who(b"other key", "utilisation_day", DAY, "car0"),
        who(b"key of the region", "utilisation_day", date(2026, 3, 3), "car0"),
    )
    assert who(b"key of the region", "utilisation_day", DAY, "car0") not in others


@settings(deadline=None)
@given(st.integers(0, 10**9), st.floats(0, 86_400), st.floats(0, 1e6))
def test_what_a_device_added_is_read_back_with_the_key_alone(records, seconds, km):
    use = DeviceUse("car0", "car", ("car0",), records, seconds, seconds / 2, km, ("f:acme", "c:acme"))
    as_it_was = MARKS.changes(MARKS(cell_of([use])), frozenset())[0]
    if records or round(seconds, 1) or round(km, 3):
        (read,) = as_it_was
        assert read.records == records
        assert abs(read.engine_s - seconds) <= 0.051
        assert abs(read.distance_km - km) <= 0.00051 + 1e-12 * km
        assert len(read.holders) == 2
    other = marker(b"another key", "utilisation_day", DAY)
    if records > 1000:
        assert other.changes(MARKS(cell_of([use])), frozenset())[0][0].records != records


def test_amounts_that_are_equal_look_equal_and_others_do_not():
    same = MARKS(cell_of(fleet("car", range(2)))), MARKS(cell_of(fleet("car", range(2))))
    assert same[0] == same[1]
    first, second = sorted(same[0])
    assert first[WHO_BYTES : WHO_BYTES + 32] != second[WHO_BYTES : WHO_BYTES + 32]  # nor between devices


def test_an_erased_contributor_can_be_found_in_the_marks_with_the_key():
    gone = who(b"key of the region", "utilisation_day", DAY, "car3")
    marks = MARKS(cell_of(fleet("car", range(9))))
    assert gone in contributors(marks)
    assert sum(gone in mark for mark in marks) == 1


amounts = st.sampled_from([0, 10, 20])
drivers = st.sampled_from([None, None, None, "driver1", "driver2"])
a_day = st.dictionaries(
    st.sampled_from([f"p{n}" for n in range(14)]),
    st.tuples(st.sampled_from(KINDS), amounts, amounts, drivers),
    max_size=14,
)


def as_uses(day: dict[str, tuple[str, int, int, str | None]]) -> list[DeviceUse]:
    """Devices that are tied to a driver, or are their own contributors."""
    return [
        DeviceUse(name, kind, (driver or name,), 1, 1.0, float(s), float(km))
        for name, (kind, km, s, driver) in sorted(day.items())
    ]


def parts_of(cell: Cell) -> dict[str, DeviceUse]:
    return dict(cell.devices)


@settings(max_examples=300, deadline=None)
@given(st.lists(a_day, min_size=2, max_size=4))
def test_no_difference_of_published_values_rests_on_less_than_k(days):
    """What an observer holds after each publication, by cell, as the truth it was made of; any two publications of any
    sum of kinds, and the total less any kinds, may differ by nobody or by K devices of K people and more."""
    versions: list[Version] = []
    shown: list[dict[str, dict[str, DeviceUse]]] = []
    for day in days:
        uses = as_uses(day)
        kinds = by_type(uses)
        new = publish(uses, versions)
        versions += new
        now = dict(shown[-1]) if shown else {}
        for one in new:
            if one.published is not None:
                now[one.cell] = parts_of(cell_of(uses if one.cell == ALL else kinds.get(one.cell, [])))
        shown.append(now)
    for before, after in combinations([cells for cells in shown if cells], 2):
        assert before.keys() == after.keys()
        published = sorted(before.keys() - {ALL})
        for size in range(1, len(published) + 1):
            for some in combinations(published, size):
                _assert_nobody_or_a_cohort([before[name] for name in some], [after[name] for name in some])
        if ALL in before:
            _assert_nobody_or_a_cohort([before[ALL]], [after[ALL]])


def _assert_nobody_or_a_cohort(before: list[dict[str, DeviceUse]], after: list[dict[str, DeviceUse]]) -> None:
    for amount in SUMS:
        one, other = _sum_of(before, amount), _sum_of(after, amount)
        devices = {name for name in one.keys() | other.keys() if one.get(name, 0) != other.get(name, 0)}
        assert not devices or len(devices) >= K, (amount, devices)
        for cells, beside in ((before, after), (after, before)):
            tied = [cell[name].contributors for name in devices for cell in _with(name, cells) or _with(name, beside)]
            people = set().union(*tied)
            assert not devices or len(people) >= K, (amount, people)


def _sum_of(cells: list[dict[str, DeviceUse]], amount: str) -> dict[str, float]:
    total: dict[str, float] = {}
    for cell in cells:
        for name, use in cell.items():
            total[name] = total.get(name, 0.0) + getattr(use, amount)
    return total


def _with(name: str, cells: list[dict[str, DeviceUse]]) -> list[dict[str, DeviceUse]]:
    return [cell for cell in cells if name in cell]


@settings(max_examples=300, deadline=None)
@given(st.lists(a_day, min_size=1, max_size=4))
def test_the_total_less_its_siblings_is_nobody_or_a_cohort_at_every_version(days):
    """Whatever versions of the kinds are taken from whatever version of the total that was made of them."""
    versions: list[Version] = []
    parts: dict[str, dict[str, DeviceUse]] = {}
    for day in days:
        uses = as_uses(day)
        kinds = by_type(uses)
        new = publish(uses, versions)
        versions += new
        parts |= {
            one.cell: parts_of(cell_of(kinds.get(one.cell, []))) for one in new if one.published and one.cell != ALL
        }
        if any(one.cell == ALL and one.published for one in new):
            siblings = [name for name in in_force(versions) if name != ALL]
            known = {name for sibling in siblings for name in parts[sibling]}
            hidden = cell_of(uses).devices.keys() - known
            assert not hidden or len(hidden) >= K
            for sibling in siblings:
                now = parts_of(cell_of(kinds.get(sibling, [])))
                assert _amounts_of(parts[sibling]) == _amounts_of(now)


def _amounts_of(devices: dict[str, DeviceUse]) -> dict[str, list[float]]:
    return {name: [getattr(use, amount) for amount in SUMS] for name, use in devices.items()}


@settings(deadline=None)
@given(a_day, a_day)
def test_marks_differ_exactly_where_amounts_do(one, other):
    first, second = cell_of(as_uses(one)), cell_of(as_uses(other))
    before, after = _amounts_of(dict(first.devices)), _amounts_of(dict(second.devices))
    truly = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    uses = [use for cell in (first, second) for use in cell.devices.values() if use.device in truly]
    named = {name for use in uses for name in (use.device, *use.contributors)}
    expected = {who(b"key of the region", "utilisation_day", DAY, name) for name in named}
    assert changed(MARKS(first), MARKS(second)) == expected


def test_the_residual_is_remembered_and_never_published():
    versions = publish(fleet("car", range(9)) + fleet("van", range(2)) + fleet("bus", range(2)), [])
    residual = next(one for one in versions if one.cell == RESIDUAL)
    assert residual.published is None
    assert len(residual.marks) == 4
    assert RESIDUAL not in in_force(versions)
