"""What may be published again: no difference of versions, of cells or of sums of cells rests on less than a cohort."""

from dataclasses import replace
from datetime import date
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from lake.release.policy import ALL, Cell, Contribution, DeviceUse, Policy, by_type, cell_of
from lake.release.versions import RESIDUAL, Version, changed, in_force, marker, next_versions, who

K = 3
POLICY = Policy(cohort_size=K, dominance_share=0.9)
DAY = date(2026, 3, 2)
MARKS = marker(b"key of the region", "utilisation_day", DAY)
KINDS = ("car", "van", "bus")


def fleet(kind: str, names: range, distance_km: float = 10.0) -> list[DeviceUse]:
    return [DeviceUse(kind, (f"{kind}{n}",), 100, 3600.0, 3000.0, distance_km) for n in names]


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


def test_an_erased_contributor_can_be_found_in_the_marks_with_the_key():
    gone = who(b"key of the region", "utilisation_day", DAY, "car3")
    marks = MARKS(cell_of(fleet("car", range(9))))
    assert sum(mark.startswith(gone) for mark in marks) == 1


amounts = st.sampled_from([0, 10, 20])
a_day = st.dictionaries(
    st.sampled_from([f"p{n}" for n in range(14)]), st.tuples(st.sampled_from(KINDS), amounts), max_size=14
)


def as_uses(day: dict[str, tuple[str, int]]) -> list[DeviceUse]:
    return [DeviceUse(kind, (name,), 1, 1.0, 1.0, float(km)) for name, (kind, km) in sorted(day.items())]


def parts_of(cell: Cell) -> dict[str, Contribution]:
    return dict(cell.contributors)


@settings(max_examples=300, deadline=None)
@given(st.lists(a_day, min_size=2, max_size=4))
def test_no_difference_of_published_values_rests_on_less_than_k(days):
    """What an observer holds after each publication, by cell, as the truth it was made of; any two publications of any
    sum of kinds, and the total less any kinds, may differ by nobody or by K and more."""
    versions: list[Version] = []
    shown: list[dict[str, dict[str, Contribution]]] = []
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
    for before, after in combinations(shown, 2):
        assert before.keys() == after.keys()
        published = sorted(before.keys() - {ALL})
        for size in range(1, len(published) + 1):
            for some in combinations(published, size):
                _assert_nobody_or_a_cohort(sum_of(before, some), sum_of(after, some))
        if ALL in before:
            _assert_nobody_or_a_cohort(before[ALL], after[ALL])


def sum_of(cells: dict[str, dict[str, Contribution]], names: tuple[str, ...]) -> dict[str, float]:
    total: dict[str, float] = {}
    for name in names:
        for contributor, part in cells[name].items():
            total[contributor] = total.get(contributor, 0.0) + 1 + part.distance_km
    return total


def _assert_nobody_or_a_cohort(before: dict, after: dict) -> None:
    differing = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert not differing or len(differing) >= K, differing


@settings(max_examples=300, deadline=None)
@given(st.lists(a_day, min_size=1, max_size=4))
def test_the_total_less_its_siblings_is_nobody_or_a_cohort_at_every_version(days):
    """Whatever versions of the kinds are taken from whatever version of the total that was made of them."""
    versions: list[Version] = []
    parts: dict[str, dict[str, Contribution]] = {}
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
            hidden = cell_of(uses).contributors.keys() - known
            assert not hidden or len(hidden) >= K
            assert all(parts[sibling] == parts_of(cell_of(kinds.get(sibling, []))) for sibling in siblings)


@given(a_day, a_day)
def test_marks_differ_exactly_where_contributions_do(one, other):
    first, second = cell_of(as_uses(one)), cell_of(as_uses(other))
    truly = {
        name
        for name in first.contributors.keys() | second.contributors.keys()
        if first.contributors.get(name) != second.contributors.get(name)
    }
    assert len(changed(MARKS(first), MARKS(second))) == len(truly)


def test_the_residual_is_remembered_and_never_published():
    versions = publish(fleet("car", range(9)) + fleet("van", range(2)) + fleet("bus", range(2)), [])
    residual = next(one for one in versions if one.cell == RESIDUAL)
    assert residual.published is None
    assert len(residual.marks) == 4
    assert RESIDUAL not in in_force(versions)
