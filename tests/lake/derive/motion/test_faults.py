"""Fault codes become fault days: each code once a business day, whatever records it came in."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.derived import FAULT_DAY_SCHEMA
from lake.derive.motion.rules import TripRules
from tests.builders.journeys import DAY, ONE_DAY, RULES, at, faults
from tests.builders.lake import landing_row

HEAT, OIL = "P0217", "SPN 100/FMI 1"
KATHMANDU = TripRules(stop_s=300, gap_s=3600, moving_kmh=3.0, time_zone="Asia/Kathmandu")
"""5 h 45 min before UTC: its midnight lies within an hour."""


def seen(device: str, ts: datetime, codes: list[str] | None, **columns) -> dict:
    return landing_row(device, ts, columns.pop("record_id", str(ts)), fault_codes=codes, **columns)


def test_a_code_has_one_row_a_day_with_its_first_and_last_record():
    rows = [
        seen("a", at(3), [HEAT]),
        seen("a", at(3.1), None),
        seen("a", at(7), [HEAT, OIL]),
        seen("a", at(20), [HEAT]),
        seen("b", at(9), [OIL]),
        seen("b", at(9.5), []),
    ]

    found = faults(rows)

    first = {"device_id": "a", "day": DAY, "code": HEAT, "first_ts": at(3), "last_ts": at(20), "records": 3}
    assert list(found[0]) == FAULT_DAY_SCHEMA.names
    assert found[0] == {name: _naive(value) for name, value in first.items()}
    assert [(one["device_id"], one["code"], one["records"]) for one in found[1:]] == [("a", OIL, 1), ("b", OIL, 1)]


def test_a_fault_that_lasts_is_told_for_each_business_day():
    found = faults([seen("a", at(hour), [HEAT]) for hour in range(20, 30)])
    assert [(one["day"], one["records"]) for one in found] == [(DAY, 4), (DAY + ONE_DAY, 6)]


def test_a_code_counts_once_a_record_and_a_repeated_record_not_again():
    twice = seen("a", at(5), [HEAT, HEAT], record_id="one")
    assert [one["records"] for one in faults([twice, dict(twice)])] == [1]


def test_days_of_a_zone_whose_midnight_lies_within_an_hour():
    midnight = datetime(2026, 3, 9, 18, 15, tzinfo=UTC)
    rows = [seen("a", midnight + timedelta(minutes=minute), [HEAT]) for minute in (-40, -1, 0, 44)]

    found = faults(rows, rules=KATHMANDU)

    assert [(one["day"], one["records"]) for one in found] == [(date(2026, 3, 9), 2), (date(2026, 3, 10), 2)]


@settings(deadline=None)
@example([(-2821, {HEAT})])  # the last minute before the day of 23 hours
@given(st.lists(st.tuples(st.integers(-3000, 6000), st.sets(st.sampled_from([HEAT, OIL, "x"]))), max_size=40))
def test_fault_days_are_a_plain_grouping(records):
    rows = [
        seen("a", at(0) + timedelta(minutes=minute), sorted(codes), record_id=str(place))
        for place, (minute, codes) in enumerate(records)
    ]

    expected: dict = {}
    for row in rows:
        for code in row["fault_codes"]:
            day = row["ts"].astimezone(ZoneInfo(RULES.time_zone)).date()
            expected.setdefault((day, code), []).append(_naive(row["ts"]))

    found = {(one["day"], one["code"]): (one["first_ts"], one["last_ts"], one["records"]) for one in faults(rows)}
    assert found == {key: (min(times), max(times), len(times)) for key, times in expected.items()}


def _naive(value):
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value
