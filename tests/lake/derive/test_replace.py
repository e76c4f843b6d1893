"""Which days of two frames differ."""

from datetime import date

import pytest

from lake.derive.replace import differing

DAY, NEXT = date(2026, 3, 10), date(2026, 3, 11)
COLUMNS = ["day", "device_id", "max_speed_kmh", "fuel_l"]
SCHEMA = "day date, device_id string, max_speed_kmh double, fuel_l double"
ROWS = [(DAY, "a", 5.0, None), (DAY, "b", 5.0, 6.0), (NEXT, "a", None, None)]


def changed(row: tuple) -> list[tuple]:
    return [row, *ROWS[1:]]


@pytest.mark.parametrize(
    ("new", "days"),
    [
        (ROWS[::-1], {}),
        (changed((DAY, "a", None, 5.0)), {DAY: 2}),  # a value that moved to the next column
        (changed((DAY, "a", 5.0, 5.0)), {DAY: 2}),
        (changed((DAY, "c", 5.0, None)), {DAY: 2}),
        (ROWS[:2], {NEXT: 0}),
    ],
    ids=["order", "moved", "filled", "renamed", "gone"],
)
def test_a_day_differs_where_any_value_of_any_row_does(spark, new, days):
    frames = [spark.createDataFrame(rows, SCHEMA) for rows in (new, ROWS)]
    assert differing(*frames, COLUMNS) == days


def test_all_days_are_new_beside_no_frame(spark):
    assert differing(spark.createDataFrame(ROWS, SCHEMA), None, COLUMNS) == {DAY: 2, NEXT: 1}
