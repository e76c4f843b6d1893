"""Every business day that a record can make stale belongs to a partition, and no day that has not begun does."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from assets.partitions import (
    FirstPartitions,
    daily,
    hour_partitions_of,
    own_partitions,
    partitions_of,
    region_partitions,
)
from contracts.record import EARLIEST_TS_MS, LATEST_AHEAD_MS
from contracts.regions import load_regions
from lake.derive.business_days import dirtied

ZONES = {region.time_zone for region in load_regions().values()} | {"Pacific/Kiritimati", "Etc/GMT+12", "UTC"}
EARLIEST = datetime.fromtimestamp(EARLIEST_TS_MS / 1000, UTC)
EU = load_regions()["eu"]
FIRST = FirstPartitions(date(2026, 3, 4), datetime(2026, 3, 9, 7, tzinfo=UTC))


def newest() -> datetime:
    return datetime.now(UTC) + timedelta(milliseconds=LATEST_AHEAD_MS)


def in_zone(zone: str):
    return daily(FirstPartitions().day, zone)


@pytest.mark.parametrize("zone", sorted(ZONES))
@pytest.mark.parametrize("record", [EARLIEST, newest()], ids=["earliest", "newest"])
def test_a_record_at_either_end_of_time_makes_only_partitions_stale(zone, record):
    """But for days that have not begun, which wait until they have."""
    stale = dirtied([(record, record)], ZoneInfo(zone), timedelta(hours=2))
    today = datetime.now(ZoneInfo(zone)).date()

    assert partitions_of(stale, in_zone(zone)) == sorted(day for day in stale if day <= today)
    assert min(stale) <= today


@pytest.mark.parametrize("zone", sorted(ZONES))
def test_today_is_the_newest_partition(zone):
    today = datetime.now(ZoneInfo(zone)).date()

    assert in_zone(zone).get_last_partition_key() == today.isoformat()
    assert partitions_of([today + timedelta(days=1)], in_zone(zone)) == []


def test_a_clock_that_was_reset_belongs_to_the_last_day_of_1999_west_of_utc():
    assert date(1999, 12, 31) in partitions_of([date(1999, 12, 31)], in_zone("America/Chicago"))


def test_partitions_begin_with_the_data_and_older_data_belong_to_the_first():
    found = region_partitions(EU, FIRST)

    assert found.days.get_first_partition_key() == "2026-03-04"
    assert found.hours.get_first_partition_key() == "2026-03-09-07:00"
    assert partitions_of([date(2019, 5, 1), date(2026, 3, 6)], found.days) == [date(2026, 3, 4), date(2026, 3, 6)]
    assert own_partitions([date(2019, 5, 1), date(2026, 3, 6)], found.days) == [date(2026, 3, 6)]
    assert hour_partitions_of([datetime(2026, 3, 9, 5, tzinfo=UTC)], found.hours) == [FIRST.hour]


def test_the_region_table_s_first_day_is_stronger_than_the_data():
    us = msgspec.structs.replace(load_regions()["us"], first_day=date(2026, 2, 1))

    found = region_partitions(us, FIRST)

    assert found.days.get_first_partition_key() == "2026-02-01"
    assert found.hours.get_first_partition_key() == "2026-02-01-06:00"
