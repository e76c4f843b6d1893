"""A spot query opens only the waiting objects whose stragglers may be of its device; none that are, is missed."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from lake.merge.intake import intake
from lake.merge.straggler_index import device_filter, may_hold
from lake.trail.spot_query import trail
from tests.builders.lake import NOON, fetch, landing_row

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
