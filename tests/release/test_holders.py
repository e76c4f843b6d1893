"""Who has the devices counts as well as who is in them: what a company knows of its own fleet tells it nothing more."""

from hypothesis import given, settings
from hypothesis import strategies as st

from release.policy import DeviceUse, Policy, cell_of, half_step, round_sum
from release.sensitivity import near_the_ceiling, reveals_a_part

POLICY = Policy(cohort_size=10, dominance_share=0.5)


def use(name: object, km: float, *holders: str, drivers: tuple[str, ...] = (), hours: float = 8.0) -> DeviceUse:
    """A van's day; without holders it is its driver's own."""
    return DeviceUse(f"d:{name}", "van", drivers or (f"d:{name}",), 1000, hours * 3600, hours * 1800, km, holders)


def vans(count: int, km: float, *holders: str) -> list[DeviceUse]:
    return [use(f"{holders}-{number}", km, *holders) for number in range(count)]


def test_a_companys_nine_vans_do_not_hide_one_stranger():
    assert not POLICY.allows(cell_of([*vans(9, 200, "acme", "acme"), use("stranger", 137, "other", "other")]))


def test_two_large_contributors_do_not_learn_each_other_beside_eight_small_ones():
    assert not POLICY.allows(cell_of([use("A", 4500), use("B", 4500), *(use(number, 5) for number in range(8))]))
    assert POLICY.allows(cell_of([use("A", 4500), use("B", 4500), *(use(number, 500) for number in range(8))]))


def test_a_cell_that_one_company_owns_is_withheld():
    assert not POLICY.allows(cell_of(vans(40, 100, "acme", "acme")))


def test_two_companies_know_each_other_and_three_do_not():
    two = [*vans(20, 100, "acme", "acme"), *vans(20, 100, "zeta", "zeta")]
    assert not POLICY.allows(cell_of(two))
    assert POLICY.allows(cell_of([*two, *vans(20, 100, "omega", "omega")]))


def test_fleets_of_one_customer_are_one_holder():
    fleets = [van for number in range(4) for van in vans(10, 100, f"fleet{number}", "acme")]
    assert not POLICY.allows(cell_of(fleets))


def test_a_driver_who_drives_for_two_companies_hides_in_neither():
    """The companies do not know what the driver did for the other; a colleague who is paid by both would."""
    others = [van for name in ("acme", "zeta", "omega") for van in vans(6, 10, name, name)]
    shared = [use(f"shared{name}", 70, name, name, drivers=("s:1",)) for name in ("acme", "zeta")]
    assert POLICY.allows(cell_of([*others, *shared]))
    more = [use(f"shared{name}", 130, name, name, drivers=("s:1",)) for name in ("acme", "zeta")]
    assert not POLICY.allows(cell_of([*others, *more]))


def test_a_sum_of_nothing_tells_everybodys():
    assert not POLICY.allows(cell_of([use(number, 0) for number in range(30)]))


def test_engines_that_never_stood_still_are_known_from_below():
    assert not POLICY.allows(cell_of([use(number, 10, hours=23.9) for number in range(10)]))
    assert POLICY.allows(cell_of([use(number, 10, hours=12) for number in range(10)]))


def test_rounding_does_not_bring_an_estimate_nearer():
    """The sum is rounded down to where the largest is within 10 %, though the others add a little more than that."""
    cell = cell_of([use("A", 1000), use("B", 0.1), *(use(number, 12.95) for number in range(8))])
    assert not Policy(10, 0.95).allows(cell)
    assert round_sum(cell.total.distance_km) == 1100


amounts = st.floats(0.001, 1e6, allow_nan=False)
fleets = st.lists(st.tuples(amounts, st.integers(0, 3), st.integers(0, 6)), min_size=1, max_size=14)


@settings(max_examples=150, deadline=None)
@given(fleets, st.sampled_from([0.05, 0.1, 0.5]))
def test_the_rule_finds_what_trying_all_pairs_finds(rows, share):
    sizes = {f"d{place}": km for place, (km, _, _) in enumerate(rows)}
    units = set()
    for at in (1, 2):
        for group in {row[at] for row in rows}:
            units.add(frozenset(f"d{place}" for place, row in enumerate(rows) if row[at] == group))
    total = sum(sizes.values())

    def of(devices) -> float:
        return sum(sizes[device] for device in devices)

    def others_have(looker, target) -> float:
        return total - of(looker | target)

    slack = 1e-9 * total
    gaps = [
        others_have(looker, target) - share * of(target - looker)
        for looker in (*units, frozenset())
        for target in units
        if target - looker
    ]
    found = reveals_a_part(units, sizes, share)
    if all(abs(gap) > slack for gap in gaps):
        assert found == any(gap < 0 for gap in gaps)


@settings(deadline=None)
@given(st.lists(st.floats(0, 86_400), min_size=1, max_size=12), st.sampled_from([0.05, 0.1]))
def test_nobody_is_known_from_below_while_the_others_may_have_had_more(hours, share):
    sizes = {f"d{place}": seconds for place, seconds in enumerate(hours)}
    units = {frozenset([device]) for device in sizes}
    if not near_the_ceiling(units, sizes, share, 86_400):
        for device, seconds in sizes.items():
            gaps = sorted(86_400 - other for name, other in sizes.items() if name != device)
            assert sum(gaps[:-1]) >= share * seconds - 1e-6


@settings(deadline=None)
@given(st.floats(1e-3, 1e12))
def test_rounding_moves_a_sum_by_half_a_step_at_most(value):
    assert abs(round_sum(value) - value) <= half_step(value) * (1 + 1e-9)
