"""The policy: device before fleet before region, by the fleet that a device had, and nothing of what is on hold."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from contracts.retention import DeviceRule, Expiry, FleetPeriod, Span, expiry

TODAY = date(2026, 11, 30)
EVER = FleetPeriod(None, None, None)


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def of_fleet(days: int | None) -> FleetPeriod:
    return FleetPeriod(None, None, days)


def is_past(due: Expiry, device_id: str, day: date) -> bool:
    """What the stores ask in SQL."""
    in_span = any(span.device_id == device_id and (span.first or date.min) <= day < span.before for span in due.spans)
    return in_span or (device_id not in due.exempt and day < due.before)


def test_a_fleet_that_keeps_less_has_spans_and_the_region_reaches_the_rest():
    due = expiry(90, [DeviceRule("a", None, False, [of_fleet(30)])], TODAY)
    assert (due.before, due.exempt) == (ago(90), frozenset())
    assert due.spans == (Span("a", None, ago(30)),)
    assert due.horizon == ago(30)
    assert [is_past(due, "a", ago(n)) for n in (31, 30)] == [True, False]
    assert [is_past(due, "other", ago(n)) for n in (91, 90, 31)] == [True, False, False]


def test_a_devices_own_days_stand_over_those_of_its_fleet():
    due = expiry(90, [DeviceRule("a", 60, False, [of_fleet(30)])], TODAY)
    assert due.spans == (Span("a", None, ago(60)),)


def test_what_is_kept_for_longer_is_exempt_from_the_regions_rule():
    due = expiry(90, [DeviceRule("a", None, False, [of_fleet(365)])], TODAY)
    assert due.exempt == {"a"} and not due.held
    assert [is_past(due, "a", ago(n)) for n in (366, 365, 100)] == [True, False, False]


def test_a_device_that_moved_keeps_each_day_as_the_fleet_of_that_day_says():
    moved = [FleetPeriod(None, ago(50), 30), FleetPeriod(ago(50), None, 365)]
    due = expiry(90, [DeviceRule("a", None, False, moved)], TODAY)
    assert [is_past(due, "a", ago(n)) for n in (200, 51, 50, 49)] == [True, True, False, False]


def test_a_legal_hold_keeps_everything_whatever_the_rules_say():
    due = expiry(90, [DeviceRule("a", 1, True, [of_fleet(1)])], TODAY)
    assert (due.exempt, due.held, due.spans) == ({"a"}, {"a"}, ())
    assert not is_past(due, "a", ago(10_000))


def test_a_rule_that_says_what_the_region_says_adds_nothing():
    assert expiry(90, [DeviceRule("a", 90, False, [EVER])], TODAY).spans == ()


@given(
    region=st.integers(1, 400),
    own=st.none() | st.integers(1, 400),
    fleets=st.lists(st.none() | st.integers(1, 400), min_size=1, max_size=4),
    age=st.integers(0, 900),
    data=st.data(),
)
def test_every_day_is_judged_by_the_one_rule_that_holds_on_it(region, own, fleets, age, data):
    cuts = sorted(
        data.draw(st.lists(st.integers(1, 800), min_size=len(fleets) - 1, max_size=len(fleets) - 1, unique=True))
    )
    edges = [None, *(ago(cut) for cut in reversed(cuts)), None]
    periods = [FleetPeriod(first, until, days) for first, until, days in zip(edges, edges[1:], fleets, strict=False)]
    due = expiry(region, [DeviceRule("a", own, False, periods)], TODAY)
    day = ago(age)
    (period,) = [p for p in periods if (p.first is None or p.first <= day) and (p.until is None or day < p.until)]
    assert is_past(due, "a", day) == (age > (own or period.days or region))


def test_a_check_of_yesterdays_policy_leaves_a_day():
    due = expiry(90, [], TODAY - timedelta(days=1))
    assert due.since(TODAY) == timedelta(days=1)
    assert due.since(TODAY - timedelta(days=5)) == timedelta(0)
