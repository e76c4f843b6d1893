"""What the demo's report chooses to show."""

from datetime import UTC, datetime

from cli.demo_report import nearest_noon
from contracts.regions import load_regions


def test_the_live_sample_is_of_a_region_where_it_is_day() -> None:
    shown = {}
    for hour in range(24):
        now = datetime(2026, 11, 25, hour, tzinfo=UTC)
        name = nearest_noon(load_regions().values(), now)
        shown[hour] = name
        nearest = abs(now.astimezone(load_regions()[name].zone).hour - 12)
        assert all(nearest <= abs(now.astimezone(each.zone).hour - 12) for each in load_regions().values()), hour
    assert shown[11] == "eu"
    assert len(set(shown.values())) >= 3
