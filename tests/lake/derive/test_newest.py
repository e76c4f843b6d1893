"""A quality check reads rows of the days that changed last, whichever days those are."""

from datetime import date, timedelta

import pytest

from contracts.settings import RegionSettings
from lake.database import transaction
from lake.derive.newest import rows_changed_last
from lake.iceberg.tables import history
from tests.builders.lake import NOON, Landing, drive, landing_table

DAY = NOON.date()


def changed(settings: RegionSettings, *days: date) -> None:
    """The days changed now, all at once."""
    with transaction(settings) as connection:
        for day in days:
            connection.execute(
                """insert into ops.changed (day, sequence) values (%s, 1) on conflict (day)
                do update set changed_at = now()""",
                [day],
            )


@pytest.fixture
def settings(landing: Landing) -> RegionSettings:
    """A day of rows, whose change made the days after it due too."""
    old, new = drive("old", NOON - timedelta(days=30), 5), drive("new", NOON, 7)
    history(landing.settings).append(landing_table([*old, *new]))
    changed(landing.settings, old[0]["ts"].date())
    changed(landing.settings, DAY, DAY + timedelta(days=1), DAY + timedelta(days=2))
    return landing.settings


def test_neighbours_without_rows_do_not_hide_the_day_that_changed(settings: RegionSettings) -> None:
    rows = rows_changed_last(settings, 7)
    assert set(rows.device_id) == {"new"}
    assert len(rows) == 7


def test_late_data_of_an_old_day_is_what_is_read(settings: RegionSettings) -> None:
    changed(settings, DAY - timedelta(days=30))
    assert set(rows_changed_last(settings, 5).device_id) == {"old"}
    assert set(rows_changed_last(settings, 100).device_id) == {"old", "new"}


def test_nothing_changed_gives_no_row_with_all_columns(landing: Landing) -> None:
    rows = rows_changed_last(landing.settings, 5)
    assert len(rows) == 0
    assert "device_id" in rows.columns
