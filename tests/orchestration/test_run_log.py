"""Old runs go with their events; what sensors read of the newest stays."""

from datetime import UTC, datetime, timedelta

import pytest
from dagster import DagsterInstance, DagsterRunStatus, Definitions, ResourceDefinition, build_sensor_context

from orchestration.attempts import LOOK_BACK, WORK
from orchestration.run_log import old_runs, run_log_sensor
from tests.orchestration.test_alerts import Told

IN_A_YEAR = datetime.now(UTC) + timedelta(days=366)


@pytest.fixture
def runs(instance: DagsterInstance, repository) -> list[str]:
    """Runs of one kind of work, the newest first; one of another kind, and one that is under way."""
    job = repository.get_job("__ASSET_JOB")

    def begun(work: str, status: DagsterRunStatus = DagsterRunStatus.SUCCESS) -> str:
        return instance.create_run_for_job(job, tags={WORK: work}, status=status).run_id

    begun("us/days")
    begun("eu/days", DagsterRunStatus.STARTED)
    return [begun("eu/days") for _ in range(LOOK_BACK + 5)][::-1]


def test_the_oldest_that_ended_go_and_the_newest_of_each_work_stay(instance: DagsterInstance, runs: list[str]) -> None:
    assert set(old_runs(instance, ["eu/days"], [], IN_A_YEAR)) == set(runs[LOOK_BACK:])
    assert old_runs(instance, ["eu/days"], [], datetime(2026, 1, 1, tzinfo=UTC)) == []
    assert old_runs(instance, ["us/days"], [], IN_A_YEAR) == []


@pytest.mark.parametrize(("days", "left"), [(0, LOOK_BACK + 7), (1, LOOK_BACK + 7)])
def test_runs_of_today_stay_and_0_days_keep_all(
    instance: DagsterInstance, runs: list[str], days: int, left: int
) -> None:
    told = Told(run_log_days=days)
    sensor = run_log_sensor("eu", ["eu/days"])
    resources = {"operators": ResourceDefinition.hardcoded_resource(told)}
    repository = Definitions(sensors=[sensor], resources=resources).get_repository_def()
    context = build_sensor_context(instance, None, repository_def=repository, resources={"operators": told})
    assert sensor.evaluate_tick(context).skip_message
    assert len(instance.get_runs()) == left


def test_a_run_that_is_removed_leaves_no_event(instance: DagsterInstance, runs: list[str]) -> None:
    (oldest, *_) = old_runs(instance, ["eu/days"], [], IN_A_YEAR)
    instance.delete_run(oldest)
    assert instance.all_logs(oldest) == []
    assert oldest not in [run.run_id for run in instance.get_runs()]
