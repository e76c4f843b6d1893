"""Every business day that a record can make stale is a partition."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from assets.partitions import business_days, existing
from contracts.record import EARLIEST_TS_MS, LATEST_AHEAD_MS
from contracts.regions import load_regions
from lake.derive.business_days import dirtied

ZONES = {region.time_zone for region in load_regions().values()} | {"Pacific/Kiritimati", "Etc/GMT+12", "UTC"}
EARLIEST = datetime.fromtimestamp(EARLIEST_TS_MS / 1000, UTC)


def newest() -> datetime:
    return datetime.now(UTC) + timedelta(milliseconds=LATEST_AHEAD_MS)


@pytest.mark.parametrize("zone", sorted(ZONES))
@pytest.mark.parametrize("record", [EARLIEST, newest()], ids=["earliest", "newest"])
def test_a_record_at_either_end_of_time_makes_only_partitions_stale(zone, record):
    stale = dirtied([record.date()], ZoneInfo(zone))
    assert existing(stale, business_days(zone)) == sorted(stale)


def test_a_clock_that_was_reset_belongs_to_the_last_day_of_1999_west_of_utc():
    assert date(1999, 12, 31) in existing([date(1999, 12, 31)], business_days("America/Chicago"))
