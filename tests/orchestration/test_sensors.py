"""The sensors ask for what is due: once, again after a failure, and not while it is under way."""

import traceback
from datetime import UTC, date, datetime, timedelta

import pytest
from dagster import AssetKey, DagsterRunStatus, RunsFilter

from assets.keys import OLDER_DAYS
from assets.partitions import FirstPartitions
from assets.redaction import StepFailed
from orchestration.attempts import ATTEMPT, WORK, Attempts, attempts_of, backoff
from orchestration.local.process import process, run_requests
from orchestration.local.run_in_process import execute
from orchestration.partitions import partitions_for, record_first, world_partitions
from tests.builders.orchestration import DAY, EU, HOUR, begin, hours, small_definitions, tick

OLD = date(2001, 5, 6)


def test_contiguous_hours_are_one_run(repository, instance):
    (request,) = tick(repository, instance, "eu_landing").run_requests

    assert request.partition_key_range.start == "2026-03-04-05:00"
    assert request.partition_key_range.end == "2026-03-04-07:00"
    assert request.asset_selection == [AssetKey(["eu", "history"])]


def test_what_landed_is_reported_for_each_hour_that_is_asked_for(repository, instance):
    events = tick(repository, instance, "eu_landing").asset_events

    assert [event.partition for event in events] == ["2026-03-04-05:00", "2026-03-04-06:00", "2026-03-04-07:00"]
    assert events[0].metadata["dagster/partition_row_count"].value == 10


def test_hours_in_which_stragglers_alone_landed_are_reported_too(repository, instance, work):
    work.merged, work.stragglers = set(work.landing), True

    told = tick(repository, instance, "eu_landing")

    assert [event.partition for event in told.asset_events] == [
        "2026-03-04-05:00",
        "2026-03-04-06:00",
        "2026-03-04-07:00",
    ]
    assert [request.partition_key_range.start for request in told.run_requests] == ["2026-03-04-07:00"]


def test_nothing_due_asks_for_nothing(repository, instance, work):
    work.landing.clear()

    told = tick(repository, instance, "eu_landing")

    assert not told.run_requests
    assert told.skip_message == "nothing is due"


def test_asked_twice_before_a_run_exists_the_run_key_is_the_same(repository, instance):
    first, second = (tick(repository, instance, "eu_landing").run_requests[0] for _ in range(2))

    assert first.run_key == second.run_key


def test_while_a_run_is_under_way_nothing_more_is_asked(repository, instance):
    (request,) = tick(repository, instance, "eu_landing").run_requests
    begin(instance, repository, request)

    assert tick(repository, instance, "eu_landing").skip_message == "a run is under way"


def test_the_marts_wait_while_the_days_run_does_their_work(repository, instance, work, spark):
    work.changed[DAY] = 1
    work.derived[DAY - timedelta(days=1)] = 1
    (request,) = tick(repository, instance, "eu_days").run_requests
    begin(instance, repository, request)

    assert tick(repository, instance, "eu_marts").skip_message == "eu/days is under way"


def test_a_failed_run_is_asked_for_again_under_another_key_and_only_after_a_rest(repository, instance, work, spark):
    spark.failing = 1
    (first,) = tick(repository, instance, "eu_landing").run_requests
    done = process("eu", repository, instance, lambda _: None)
    assert not done.ok

    resting = tick(repository, instance, "eu_landing")
    (again,) = run_requests(repository.get_sensor_def("eu_landing"), repository, instance)

    assert "1 failed in a row" in resting.skip_message
    assert again.run_key != first.run_key
    assert again.tags[ATTEMPT] == "2"


def test_rests_grow_and_end_at_an_hour():
    rests = [backoff(failures) for failures in range(1, 12)]

    assert rests == sorted(rests)
    assert rests[1] == 2 * rests[0]
    assert rests[-1] == timedelta(hours=1)
    now = datetime.now(UTC)
    assert Attempts(retry_at=now + timedelta(seconds=1)).backing_off(now)
    assert not Attempts(retry_at=now - timedelta(seconds=1)).backing_off(now)


def test_success_ends_the_row_of_failures(repository, instance, work, spark):
    spark.failing = 1
    process("eu", repository, instance, lambda _: None)
    assert attempts_of(instance, "eu/landing").failures == 1

    assert process("eu", repository, instance, lambda _: None).ok

    assert attempts_of(instance, "eu/landing").failures == 0


def test_process_brings_everything_up_to_date_and_then_finds_nothing(repository, instance, work, spark):
    done = process("eu", repository, instance, lambda _: None)

    assert done.ok
    assert [run.work for run in done.runs] == ["eu/landing", "eu/days"]
    assert (work.merged, set(work.staged)) == (set(hours(3)), {DAY})
    assert process("eu", repository, instance, lambda _: None).runs == []


def test_what_landed_is_merged_before_days_are_derived_whose_run_was_lost(repository, instance, work, spark):
    work.changed = {DAY - timedelta(days=1): 1}

    done = process("eu", repository, instance, lambda _: None)

    assert [run.work for run in done.runs] == ["eu/landing", "eu/days"]
    assert work.loads == [[DAY - timedelta(days=1), DAY]]


def test_a_run_does_what_is_due_when_it_starts_and_skips_what_was_done_meanwhile(repository, instance, work, spark):
    work.landing.clear()
    work.changed = {DAY: 1, DAY + timedelta(days=2): 1}
    (request,) = run_requests(repository.get_sensor_def("eu_days"), repository, instance)
    work.derived[DAY] = work.staged[DAY] = 1

    execute(request, repository.get_sensor_def("eu_days"), repository, instance, "eu")

    assert [job.days for job in spark.jobs] == [[DAY + timedelta(days=2)]]
    assert work.loads == [[DAY + timedelta(days=2)]]


def test_stragglers_alone_get_a_run(repository, instance, work, spark):
    work.merged = set(work.landing)
    work.stragglers = True

    done = process("eu", repository, instance, lambda _: None)

    assert done.runs[0].first == "2026-03-04-07:00"
    assert [(job.hours, job.stragglers) for job in spark.jobs] == [([], True)]


def test_a_day_that_has_not_begun_waits_for_its_partition(repository, instance, work):
    work.landing.clear()
    work.changed = {(datetime.now(UTC) + timedelta(days=6)).date(): 1}

    assert tick(repository, instance, "eu_days").skip_message == "nothing is due"


def test_no_value_of_a_record_reaches_the_storage(repository, instance, spark, tmp_path):
    spark.failing = 1
    process("eu", repository, instance, lambda _: None)

    (run,) = instance.get_runs(RunsFilter(tags={WORK: "eu/landing"}))
    assert run.status == DagsterRunStatus.FAILURE
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"ValueError" in stored
    assert b"bus-4711" not in stored
    assert HOUR.strftime("%Y-%m-%d-%H:%M").encode() in stored


def test_process_says_why_it_is_not_done(repository, instance, spark):
    spark.failing = 1

    done = process("eu", repository, instance, lambda _: None)

    assert "eu/landing 2026-03-04-05:00 to 2026-03-04-07:00: " in done.error
    assert "ValueError" in done.error


def test_a_question_that_fails_tells_the_storage_no_value(repository, instance, work, monkeypatch):
    def broken():
        raise ValueError("row of bus-4711")

    monkeypatch.setattr(work.merging, "take_in", broken)

    with pytest.raises(StepFailed, match=r"what is due for eu/landing: builtins.ValueError") as told:
        tick(repository, instance, "eu_landing")

    assert "bus-4711" not in "".join(traceback.format_exception(told.value))


def test_tomorrow_waits_until_it_has_begun(repository, instance, work):
    work.landing.clear()
    today = datetime.now(EU.zone).date()
    work.changed = {today: 1, today + timedelta(days=1): 1}

    (request,) = tick(repository, instance, "eu_days").run_requests

    assert request.partition_key_range.start == request.partition_key_range.end == today.isoformat()


@pytest.fixture
def begun(work, spark):
    """Definitions whose partitions begin with DAY, and three days of which one is as old as the hills."""
    work.landing.clear()
    work.changed = {OLD: 1, DAY: 1, DAY + timedelta(days=1): 1}
    return small_definitions(work, spark, first=FirstPartitions(DAY, HOUR)).get_repository_def()


def test_a_day_before_the_first_partition_is_derived_alone_in_a_run_over_it(begun, instance, work, spark):
    assert process("eu", begun, instance, lambda _: None).ok

    assert sorted(job.days for job in spark.jobs) == [[OLD], [DAY, DAY + timedelta(days=1)]]
    assert sorted(work.loads) == [[OLD], [DAY, DAY + timedelta(days=1)]]
    runs = instance.get_runs(RunsFilter(tags={OLDER_DAYS: f"{OLD} to {OLD}"}))
    assert [run.tags["dagster/asset_partition_range_end"] for run in runs] == [DAY.isoformat()]
    assert process("eu", begun, instance, lambda _: None).runs == []


def test_a_person_s_run_over_the_first_partition_derives_the_older_days_too(begun, instance, work, spark):
    process("eu", begun, instance, lambda _: None)
    spark.jobs.clear()
    job = begun.get_job("__ASSET_JOB").get_subset(
        asset_selection={AssetKey(["eu", table]) for table in ("trip", "device_day", "episode", "fault_day")}
    )
    one_day = {f"dagster/asset_partition_range_{end}": DAY.isoformat() for end in ("start", "end")}

    assert job.execute_in_process(instance=instance, tags=one_day).success

    assert [(job.days, job.again) for job in spark.jobs] == [([OLD, DAY], True)]


def test_where_the_data_begins_is_recorded_once(work, spark, instance, monkeypatch, tmp_path):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert partitions_for(EU).days.get_first_partition_key() == "1999-12-29"
    process("eu", small_definitions(work, spark).get_repository_def(), instance, lambda _: None)

    work.changed = work.harvested = {OLD: 9}
    record_first(EU, work.deriving.first_data)

    found = partitions_for(EU)
    assert (found.days.get_first_partition_key(), found.hours.get_first_partition_key()) == (
        DAY.isoformat(),
        "2026-03-04-05:00",
    )
    assert world_partitions().get_first_partition_key() == DAY.isoformat()


def test_days_on_both_sides_of_the_first_partition_are_one_run(begun, instance, work, spark):
    before = DAY - timedelta(days=1)
    work.changed = {before: 1, DAY: 1}

    assert process("eu", begun, instance, lambda _: None).ok

    assert [job.days for job in spark.jobs] == [[before, DAY]]
    assert work.loads == [[before, DAY]]
