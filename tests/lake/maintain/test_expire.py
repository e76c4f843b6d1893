"""Retention shortened for one fleet: nothing of it is older, nothing else changes, and a killed run goes on."""

from datetime import UTC, date, datetime, time, timedelta

import msgspec
import pytest

from contracts.names import DEVICE_DAY_TABLE, EPISODE_TABLE, HISTORY_TABLE, TRIP_TABLE
from lake.derive.changed_days import harvest
from lake.derive.job import derive_days
from lake.derive.progress import due_days
from lake.iceberg.tables import table
from lake.maintain import expire as expiring
from lake.maintain.expire import expire
from lake.maintain.expired import expired_rows
from lake.maintain.overdue import look
from lake.maintain.retention_policy import read_expiry
from lake.merge.intake import due_merges, intake
from lake.merge.job import merge_landing
from lake.merge.progress import inserted_rows
from marts.load import load_days
from marts.retention import look as look_in_database
from marts.retention import remove_overdue
from tests.builders.lake import drive, fetch, landing_row
from tests.builders.marts import connect

TODAY = date(2026, 11, 30)
AGES = (120, 60, 31, 30, 2)
"""Days ago: two of them, or three of the short fleet's, are past their time."""
POINTS = 40


def day_of(age: int) -> date:
    return TODAY - timedelta(days=age)


def noon_of(age: int) -> datetime:
    return datetime.combine(day_of(age), time(17), UTC)  # late morning in Chicago


@pytest.fixture
def settled(spark, landing, monkeypatch):
    """Devices of a fleet that keeps 30 days, of one that says nothing, and on hold, on five days; 90 days by region."""
    shorter = msgspec.structs.replace(landing.settings.row, retention_days=90)
    monkeypatch.setattr(type(landing.settings), "row", property(lambda _: shorter))
    settings = landing.settings
    with connect(settings) as connection:
        connection.execute("truncate registry.fleet, registry.device, registry.legal_hold cascade")
        connection.execute("insert into registry.fleet (fleet_id, name, retention_days) values ('brief', 'B', null)")
        connection.execute("insert into registry.fleet (fleet_id, name) values ('usual', 'U')")
        for device, fleet in (("brief-1", "brief"), ("brief-2", "brief"), ("usual-1", "usual"), ("held-1", "usual")):
            connection.execute(
                "insert into registry.device (device_id, fleet_id, type, valid_from) values (%s, %s, 'car', %s)",
                [device, fleet, "2026-01-01"],
            )
        connection.execute(
            "insert into registry.legal_hold (device_id, reason, placed_by) values ('held-1', 'claim', 'tests')"
        )
    for age in AGES:
        landing.land(
            [row for d in ("brief-1", "brief-2", "usual-1", "held-1") for row in drive(d, noon_of(age), POINTS)]
        )
    # Rows that are only marked as deleted: an earlier arrival of a record that was merged already.
    late = [landing_row("usual-1", noon_of(60) + timedelta(hours=1), str(n)) for n in range(3)]
    landing.land([row | {"arrival_ts": row["arrival_ts"] + timedelta(minutes=9)} for row in late])
    process(spark, landing)
    landing.land(late, hour=noon_of(60) + timedelta(hours=1))
    process(spark, landing)
    yield landing
    with connect(settings) as connection:
        connection.execute("truncate registry.fleet, registry.device, registry.legal_hold, ops.expired cascade")


def process(spark, landing) -> None:
    settings = landing.settings
    intake(settings)
    due = due_merges(settings, open_hours=True)
    merge_landing(spark, settings, due.hours, stragglers=due.stragglers)
    harvest(settings)
    load_days(settings, [*due_days(settings)] if derive_days(spark, settings, due_days(settings)) else [])
    load_days(settings, [day for (day,) in fetch(settings, "select day from ops.derived")])


def rows_of(settings, name: str) -> list[dict]:
    """Each row whole, in an order of its own."""
    return sorted(table(settings, name).scan().to_arrow().to_pylist(), key=str)


def of(rows: list[dict], device: str) -> list[dict]:
    return [row for row in rows if row["device_id"] == device]


def is_old(row: dict) -> bool:
    """Whether a row is of the short fleet and of a day that is past its time."""
    day = row["day"] if "day" in row else row["ts"].date()
    return row["device_id"].startswith("brief") and day < day_of(30)


def killed_after_its_commit(spark, settings, monkeypatch) -> None:
    calls: list[int] = []

    def killed_at_the_second(_: object) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(expiring, "account_expired", killed_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            expire(spark, settings, TODAY)


def test_a_fleet_that_keeps_thirty_days_has_none_older_and_the_others_stay_as_they_are(spark, settled, monkeypatch):
    settings = settled.settings
    killed_after_its_commit(spark, settings, monkeypatch)  # of what the region's 90 days reach
    assert expired_rows(settings) == 0
    expire(spark, settings, TODAY)
    assert fetch(settings, "select day, rows from ops.expired") == [(day_of(120), 3 * POINTS)]
    remove_overdue(settings, read_expiry(settings, TODAY))
    names = (HISTORY_TABLE, TRIP_TABLE, EPISODE_TABLE, DEVICE_DAY_TABLE)
    before = {name: rows_of(settings, name) for name in names}
    days_before = fetch(settings, "select * from staging.device_day order by device_id, day")
    assert {str(day_of(n)) for n in (60, 31, 30, 2)} == {str(r[1]) for r in days_before if r[0] == "brief-1"}
    assert {str(day_of(n)) for n in AGES} == {str(r[1]) for r in days_before if r[0] == "held-1"}

    with connect(settings) as connection:
        connection.execute("update registry.fleet set retention_days = 30 where fleet_id = 'brief'")
    due = read_expiry(settings, TODAY)
    planned = {name: one.overdue for name, one in (look(settings, due) | look_in_database(settings, due)).items()}
    assert planned[HISTORY_TABLE] == 2 * 2 * POINTS
    done = expire(spark, settings, TODAY) | remove_overdue(settings, due)
    assert done == planned

    after = {name: rows_of(settings, name) for name in names}
    for name in names:
        for device in ("usual-1", "held-1"):
            assert of(after[name], device) == of(before[name], device)
        assert after[name] == [row for row in before[name] if not is_old(row)]
    days_after = fetch(settings, "select * from staging.device_day order by device_id, day")
    assert days_after == [r for r in days_before if not r[0].startswith("brief") or r[1] >= day_of(30)]
    again = look(settings, due) | look_in_database(settings, due)
    assert {one.overdue for one in again.values()} == {0}
    assert due_days(settings) == []  # what stays is not derived again without what went
    assert inserted_rows(settings) - expired_rows(settings) == len(after[HISTORY_TABLE])
    assert {name: rows for name, rows in expire(spark, settings, TODAY).items() if rows} == {}
