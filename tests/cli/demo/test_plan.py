"""What the demo sends: yesterday is whole, and a later run carries on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cli.demo.plan import (
    LONGEST_H,
    Window,
    choose,
    plan,
)
from contracts.regions import load_regions

REGIONS = list(load_regions().values())
MONDAY = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize("day", range(7))
@pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.name)
def test_the_window_begins_with_yesterday(day: int, region: object) -> None:
    now = MONDAY + timedelta(days=day, hours=day)
    window = choose(region, now)  # type: ignore[arg-type]
    start = window.start.astimezone(region.zone)  # type: ignore[attr-defined]
    yesterday = now.astimezone(region.zone).date() - timedelta(days=1)  # type: ignore[attr-defined]
    assert start.date() == yesterday
    assert (start.hour, start.minute) == (0, 0)
    assert window.devices >= 60


def test_a_later_run_keeps_start_and_devices_and_reaches_further(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    first = plan(REGIONS, file, MONDAY)
    later = plan(REGIONS, file, MONDAY + timedelta(hours=2))
    assert later == first
    assert later["eu"].hours(MONDAY + timedelta(hours=2)) == first["eu"].hours(MONDAY) + 2


def test_a_window_that_has_grown_too_long_is_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    first = plan(REGIONS, file, MONDAY)
    later = plan(REGIONS, file, MONDAY + timedelta(hours=LONGEST_H))
    assert later["eu"].start > first["eu"].start


def test_hours_never_run_ahead_of_the_clock() -> None:
    window = Window(start=MONDAY, devices=60)
    assert window.hours(MONDAY + timedelta(minutes=90, seconds=59)) == 1.5
