"""A seed gives the same fleet, the same days and the same bytes, whatever window is looked at."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

from contracts.derived import DEVICE_TYPES
from contracts.errors import Misuse
from devices.fleet import default_start
from devices.fleet.noise import uniform
from tests.builders.devices import A_WEDNESDAY, messy, payloads, region, simulation


def test_the_same_seed_and_start_give_the_same_bytes_in_the_same_order() -> None:
    first, second = payloads(messy()), payloads(messy())
    assert first == second
    assert len(first) > 10_000


def test_another_seed_gives_other_records_of_the_same_devices() -> None:
    assert not set(payloads(simulation())) & set(payloads(simulation(seed=6)))
    ids = [[vehicle.device_id for vehicle in simulation(seed=seed).roster.vehicles] for seed in (5, 6)]
    assert ids[0] == ids[1]


def test_a_part_of_a_window_holds_the_same_records() -> None:
    whole = set(payloads(simulation(devices=12)))
    part = payloads(simulation(devices=12, start=A_WEDNESDAY + timedelta(hours=7, minutes=20), hours=3.5))
    assert set(part) <= whole
    assert len(part) > 1000


def test_two_windows_in_a_row_are_the_whole() -> None:
    halves = [simulation(devices=8, hours=12, start=A_WEDNESDAY + timedelta(hours=12 * half)) for half in (0, 1)]
    assert [one for half in halves for one in payloads(half)] == payloads(simulation(devices=8))


def test_more_devices_leave_those_there_are_as_they_are() -> None:
    assert simulation(devices=60).roster.vehicles[:24] == simulation(devices=24).roster.vehicles


def test_sixty_devices_have_ten_of_each_type() -> None:
    types = [vehicle.registered().type for vehicle in simulation(devices=60, hours=1).roster.vehicles]
    assert set(types) <= set(DEVICE_TYPES)
    assert min(types.count(kind) for kind in set(types)) >= 10
    assert len(set(types)) == 5


def test_ids_are_stable_and_say_region_and_type() -> None:
    vehicles = simulation(devices=500, hours=1).roster.vehicles
    ids = [vehicle.device_id for vehicle in vehicles]
    assert len(set(ids)) == 500
    assert ids[:4] == ["eu-car-0001", "eu-van-0001", "eu-truck-0001", "eu-bus-0001"]
    assert all(vehicle.device_id.startswith(f"eu-{vehicle.kind.type}-") for vehicle in vehicles)


def test_two_windows_meet_at_any_new_year() -> None:
    for year in (2005, 2020):
        start = A_WEDNESDAY.replace(year=year - 1, month=12, day=31)
        halves = [simulation(devices=4, start=start + timedelta(days=half)) for half in (0, 1)]
        whole = payloads(simulation(devices=4, start=start, hours=48))
        assert [one for half in halves for one in payloads(half)] == whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"devices": 0}, "--devices 0: give 1 to 9999"),
        ({"hours": 0}, "--hours 0: give more than 0"),
        ({"hours": -2}, "--hours -2: give more than 0"),
        ({"seed": -1}, "--seed -1: give 0 or more"),
        ({"start": A_WEDNESDAY.replace(tzinfo=None)}, "has no zone"),
        ({"start": A_WEDNESDAY.replace(year=1999)}, "no record may be older"),
        ({"region": region("xy", "Pacific/Auckland")}, "no cities for region xy"),
    ],
)
def test_what_cannot_be_simulated_is_misuse(change: dict[str, object], message: str) -> None:
    with pytest.raises(Misuse, match=message):
        simulation(**change)


def test_the_default_start_never_runs_ahead_of_the_clock() -> None:
    now = A_WEDNESDAY + timedelta(hours=9, seconds=31)
    assert default_start(now, 24, None) == now.replace(second=0) - timedelta(hours=24)
    assert default_start(now, 24, 1.0) == now.replace(second=0)
    assert default_start(now, 24, 0.5) == now.replace(second=0)
    assert default_start(now, 24, 24.0) == now.replace(second=0) - timedelta(hours=23)


def test_stateless_noise_is_uniform_and_unlike_its_neighbours() -> None:
    drawn = uniform(3, "salt", np.arange(200_000, dtype=np.int64) + 1_700_000_000_000)
    shares = np.histogram(drawn, bins=20, range=(0, 1))[0] / len(drawn)
    assert np.all(np.abs(shares - 0.05) < 0.003)
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.01
    for first, second in pairwise(["a", "b", "c"]):
        moments = np.arange(50_000, dtype=np.int64)
        assert abs(np.corrcoef(uniform(3, first, moments), uniform(3, second, moments))[0, 1]) < 0.02
