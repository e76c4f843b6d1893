"""The policies' decisions, and a day of them: enough workers, none too many, and lag where workers are lost."""

from itertools import pairwise

import pytest
from msgspec.structs import replace

from deploy.scale.autoscaler import HIGH_MINUTES, LOW_MINUTES, Autoscaler
from deploy.scale.demand import Day, LostWorkers, Storm, share_of_day
from deploy.scale.policy import Scaling, Step
from deploy.scale.simulate import Consumers, Worker, run_day

SCALING = Scaling(
    fewest=5, most=40, target=1_000.0, out_cooldown_s=60.0, in_cooldown_s=300.0,
    steps=(Step(above=0.0, percent=25.0), Step(above=240_000.0, percent=100.0)), least_step=2, step_cooldown_s=120.0,
    alarm_ms=60_000.0, alarm_minutes=2, cores=0.5, memory_gb=2.0, shards=40,
)  # fmt: skip
WORKER = Worker(records_s=100_000, start_s=60)
H = 3_600


def decide(autoscaler: Autoscaler, records_s: float, minutes: int, lag_ms: float = 0.0, first: int = 0) -> int:
    wanted = autoscaler.wanted
    for number in range(first, first + minutes):
        wanted = autoscaler.minute(number * 60.0, records_s, wanted, lag_ms)
    return wanted


def test_more_records_bring_workers_after_three_minutes_and_to_what_they_ask_for() -> None:
    autoscaler = Autoscaler(SCALING)
    assert decide(autoscaler, 12_000, HIGH_MINUTES - 1) == 5
    assert decide(autoscaler, 12_000, 1, first=HIGH_MINUTES) == 12


def test_fewer_records_take_workers_away_after_a_quarter_of_an_hour() -> None:
    autoscaler = Autoscaler(SCALING, 20)
    assert decide(autoscaler, 8_000, LOW_MINUTES - 1) == 20
    assert decide(autoscaler, 8_000, 1, first=LOW_MINUTES) == 8


def test_no_more_than_the_most_and_no_fewer_than_the_fewest() -> None:
    assert decide(Autoscaler(SCALING), 900_000, 10) == 40
    assert decide(Autoscaler(SCALING, 40), 1, 60) == 5


@pytest.mark.parametrize(("lag_ms", "wanted"), [(61_000, 22), (59_000, 20), (400_000, 30)])
def test_lag_adds_workers_by_steps(lag_ms: float, wanted: int) -> None:
    scaling = replace(SCALING, steps=(Step(above=0.0, percent=10.0), Step(above=240_000.0, percent=50.0)))
    assert decide(Autoscaler(scaling, 20), 0.95 * 20 * SCALING.target, 2, lag_ms) == wanted


def test_a_load_between_nine_tenths_and_the_target_changes_nothing() -> None:
    assert decide(Autoscaler(SCALING, 10), 9_500, 60) == 10


def test_a_day_goes_from_an_eighth_to_all_and_back() -> None:
    shares = [share_of_day(hour) for hour in range(24)]
    assert (min(shares), max(shares)) == (0.125, 1.0)
    assert shares[3] == shares[23] == 0.125
    assert shares[12] == 1.0


def test_a_storm_s_records_come_all_of_them_and_later() -> None:
    calm = Day(region="eu", devices=400_000, interval_s=10, utc_offset_h=0)
    storm = Day(region="eu", devices=400_000, interval_s=10, utc_offset_h=0,
                storms=(Storm(begins_s=12 * H, away_s=600, share=0.5),))  # fmt: skip
    times = range(11 * H, 14 * H)
    assert sum(map(storm.records_s, times)) == pytest.approx(sum(map(calm.records_s, times)), rel=1e-6)
    assert storm.records_s(12 * H + 700) > 2 * calm.records_s(12 * H + 700)


def test_every_shard_has_one_owner_and_none_has_two_more_than_another() -> None:
    consumers = Consumers(SCALING, WORKER, 5)
    for wanted in (40, 17, 6, 23, 5):
        consumers.want(wanted, 0.0)
        consumers.tick(10_000.0, 1_000.0, 1.0)
        counts = [list(consumers._owners).count(owner) for owner in range(wanted)]
        assert sum(counts) == SCALING.shards
        assert max(counts) - min(counts) <= 1


def test_a_lost_zone_delays_its_shards_by_a_lease_and_no_longer() -> None:
    lost = (LostWorkers(begins_s=1_000, share=1 / 3, missing_s=60),)
    course = run_day(SCALING, WORKER, lambda _: 20_000.0, fixed=40, lost=lost, seconds=3_000)
    assert WORKER.lease_ttl_s <= max(course.lag_s) <= WORKER.lease_ttl_s + 6
    assert course.quantile(0.5) < 1
    assert min(course.workers) < 40
    assert course.workers[-1] == 40


def test_what_shards_refuse_is_sent_again_and_counted() -> None:
    few = replace(SCALING, shards=2)
    course = run_day(few, WORKER, lambda at: 20_000.0 if at < 60 else 100.0, fixed=2, seconds=1_200)
    assert course.throttled > 0
    assert sum(course.records_s) * 60 == pytest.approx(20_000 * 60 + 100 * 1_140, rel=0.02)


def test_a_day_by_the_policies_takes_fewer_worker_hours_than_a_fixed_fleet() -> None:
    day = Day(region="eu", devices=400_000, interval_s=10, utc_offset_h=0)
    course = run_day(SCALING, WORKER, day.records_s, seconds=24 * H)
    assert (min(course.workers), max(course.workers)) == (5, 40)
    assert course.worker_s < 0.8 * 40 * 24 * H
    assert all(abs(later - earlier) <= 35 for earlier, later in pairwise(course.workers))
    assert course.quantile(0.99) < 2
