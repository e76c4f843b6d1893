"""A spot query opens only the waiting objects whose rows may be of its device; none that are, is missed."""

from datetime import UTC, datetime, timedelta

import boto3
from hypothesis import given
from hypothesis import strategies as st

from lake.database import transaction
from lake.merge.device_index import device_filter, may_hold
from lake.merge.intake import intake
from lake.merge.plan import Kind
from lake.merge.progress import mark_merged
from lake.trail.spot_query import trail
from tests.builders.lake import NOON, fetch, landing_row

HOUR = timedelta(hours=1)
YESTERDAY = NOON - timedelta(days=1)
NAMES = st.sets(st.text(min_size=1, max_size=20), max_size=300)


@given(NAMES)
def test_no_device_that_is_in_a_filter_is_denied(devices):
    bits = device_filter(devices)
    assert all(may_hold(bits, device) for device in devices)


def test_few_of_the_devices_that_are_not_in_it_are_let_through():
    for count in (1, 50, 2_000):
        bits = device_filter(f"in-{n}" for n in range(count))
        wrong = sum(may_hold(bits, f"out-{n}") for n in range(10_000))
        assert wrong < 100, (count, wrong)


def test_a_very_large_object_has_a_filter_of_bounded_size():
    assert len(device_filter(f"d{n}" for n in range(100_000))) == 16 * 1024


def waiting_stragglers(landing, objects: int) -> None:
    """Objects merged on time, each with one straggler of yesterday of a device of its own."""
    for n in range(objects):
        rows = [landing_row(f"other-{k}", NOON + timedelta(seconds=k), f"{n}-{k}") for k in range(20)]
        landing.land([*rows, landing_row(f"late-{n}", YESTERDAY, f"late-{n}", arrival_ts=NOON)])
    intake(landing.settings)
    fetch(landing.settings, "update ops.landing_object set on_time_merged = now() returning 1")


def test_only_objects_that_can_hold_the_device_are_opened(landing):
    waiting_stragglers(landing, 40)
    start, end = YESTERDAY.replace(hour=0), NOON.replace(hour=0)
    assert trail(landing.settings, "device-x", start, end).files_read <= 2
    found = trail(landing.settings, "late-7", start, end)
    assert (found.records.num_rows, found.sources.landing) == (1, 1)
    assert found.files_read <= 3


def test_an_object_without_an_index_is_opened(landing):
    waiting_stragglers(landing, 3)
    fetch(landing.settings, "update ops.landing_object set straggler_devices = null returning 1")
    found = trail(landing.settings, "late-1", YESTERDAY.replace(hour=0), NOON.replace(hour=0))
    assert (found.records.num_rows, found.files_read) == (1, 3)


def test_while_the_hour_is_not_merged_its_objects_are_opened(landing):
    landing.land([landing_row("a", NOON, "1"), landing_row("late", YESTERDAY, "2", arrival_ts=NOON)])
    intake(landing.settings)
    assert trail(landing.settings, "a", NOON.replace(hour=0), NOON + timedelta(hours=1)).records.num_rows == 1


def running_hour(landing, objects: int) -> datetime:
    """Objects of the running hour, each of five devices of its own; none is merged."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for n in range(objects):
        rows = [landing_row(f"veh-{n}-{k}", hour + timedelta(seconds=k), f"{n}-{k}") for k in range(5)]
        landing.land(rows, hour=hour)
    return hour


def test_of_the_running_hour_only_objects_that_can_hold_the_device_are_opened(landing):
    hour = running_hour(landing, 40)
    assert trail(landing.settings, "veh-x", hour, hour + HOUR).files_read == 40  # known to the ledger alone
    intake(landing.settings)
    assert trail(landing.settings, "veh-x", hour, hour + HOUR).files_read <= 2
    found = trail(landing.settings, "veh-7-3", hour, hour + HOUR)
    assert (found.records.num_rows, found.sources.landing) == (1, 1)
    assert found.files_read <= 3


def test_an_hour_that_is_merged_at_once_is_not_indexed(landing):
    landing.land([landing_row("a", NOON, "1")])
    intake(landing.settings)
    assert fetch(landing.settings, "select devices from ops.landing_object") == [(None,)]


def test_an_index_goes_with_what_it_was_made_for(landing):
    hour = running_hour(landing, 2)
    late = landing_row("late", YESTERDAY, "l", arrival_ts=hour)
    key = landing.land([landing_row("a", hour, "a"), late], hour=hour)
    intake(landing.settings)
    query = "select devices is null, straggler_devices is null from ops.landing_object where key = %s"
    assert fetch(landing.settings, query, key) == [(False, False)]
    for kind, left in ((Kind.ON_TIME, (True, False)), (Kind.STRAGGLERS, (True, True))):
        with transaction(landing.settings) as connection:
            mark_merged(connection, kind, [key], hour)
        assert fetch(landing.settings, query, key) == [left]


def test_an_object_that_nobody_can_read_costs_a_query_its_records_alone(landing):
    hour = running_hour(landing, 3)
    rows = [landing_row("a", hour + timedelta(minutes=n), str(n)) for n in range(9)]
    broken, gone, _ = (landing.land(rows[n : n + 3], hour=hour) for n in (0, 3, 6))
    client = boto3.client("s3", **landing.settings.s3.client_kwargs(landing.settings.row.aws_region))
    client.put_object(Bucket=landing.settings.bucket, Key=broken, Body=b"PAR1 cut off")
    client.delete_object(Bucket=landing.settings.bucket, Key=gone)
    found = trail(landing.settings, "a", hour, hour + HOUR)
    assert (found.records.num_rows, found.unreadable, found.summary()["unreadable"]) == (3, 2, 2)
    intake(landing.settings)
    fetch(
        landing.settings,
        "insert into ops.set_aside (key, reason, etag, contract) values (%s, 'cut', '', '') returning 1",
        broken,
    )
    found = trail(landing.settings, "a", hour, hour + HOUR)
    assert (found.records.num_rows, found.unreadable) == (3, 2)
