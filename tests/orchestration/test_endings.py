"""An outage and a lost process are told from a failure: only a failure makes its work rest."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from dagster import DagsterRunStatus, RunsFilter

from contracts.errors import StoreUnavailable
from orchestration.attempts import FORGIVEN_LOSSES, WORK, attempts_of
from orchestration.local.process import process
from orchestration.local.wait_for_daemon import pending_work
from tests.builders.orchestration import begin, tick

AWAY = "S3 of region eu"


def silent(_: str) -> None:
    """Progress that nobody reads."""


def fail_with(fault: Exception, spark, repository, instance, times: int = 1) -> None:
    """Runs of eu/landing that end with this error."""
    spark.fault, spark.failing = fault, times
    for _ in range(times):
        assert not process("eu", repository, instance, silent).ok


def lose_a_run(repository, instance) -> None:
    """A run of eu/landing whose process is killed."""
    (request,) = tick(repository, instance, "eu_landing").run_requests
    run = begin(instance, repository, request)
    instance.report_run_failed(run, "its process is gone; what it left undone is due again")


def test_an_outage_is_no_failure_and_the_work_is_due_at_once(repository, instance, spark):
    fail_with(StoreUnavailable("S3 of region eu does not answer"), spark, repository, instance, times=4)

    found = attempts_of(instance, "eu/landing")

    assert (found.failures, found.retry_at, found.outage) == (0, None, True)
    assert "S3 of region eu does not answer" in found.reason
    assert tick(repository, instance, "eu_landing").run_requests


def test_while_the_store_is_away_no_run_is_asked_for_and_the_store_is_named(repository, instance, work, spark):
    fail_with(StoreUnavailable("S3 does not answer"), spark, repository, instance)
    work.away = AWAY

    waiting = tick(repository, instance, "eu_landing")
    work.away = None
    back = tick(repository, instance, "eu_landing")

    assert not waiting.run_requests
    assert waiting.skip_message == f"{AWAY} does not answer; the work is due as soon as it does"
    assert back.run_requests


@pytest.mark.parametrize(
    "fault",
    [
        psycopg.OperationalError("server closed the connection; row of bus-4711"),
        OSError("AWS Error NETWORK_CONNECTION on bus-4711.parquet"),
    ],
)
def test_what_a_client_raises_for_a_store_that_is_away_names_it_and_no_value(repository, instance, spark, fault):
    fail_with(fault, spark, repository, instance)

    found = attempts_of(instance, "eu/landing")

    assert (found.failures, found.outage) == (0, True)
    assert "does not answer" in found.reason
    assert "bus-4711" not in found.reason


def test_an_outage_between_failures_is_not_counted_with_them(repository, instance, spark):
    fail_with(ValueError("broken"), spark, repository, instance)
    failed_once = attempts_of(instance, "eu/landing")
    fail_with(StoreUnavailable("Postgres does not answer"), spark, repository, instance, times=3)

    found = attempts_of(instance, "eu/landing")

    assert failed_once.failures == 1
    assert (found.failures, found.retry_at) == (1, failed_once.retry_at)


def test_a_run_that_ended_with_its_process_is_asked_for_at_once(repository, instance):
    for _ in range(FORGIVEN_LOSSES):
        lose_a_run(repository, instance)
        assert attempts_of(instance, "eu/landing").failures == 0


def test_a_run_that_always_ends_with_its_process_rests_in_the_end(repository, instance):
    for _ in range(FORGIVEN_LOSSES + 1):
        lose_a_run(repository, instance)

    resting = tick(repository, instance, "eu_landing")

    assert attempts_of(instance, "eu/landing").failures == 1
    assert "1 failed in a row; resting until" in resting.skip_message
    assert "its process is gone" in resting.skip_message


def test_a_run_that_was_terminated_is_no_failure(repository, instance):
    (request,) = tick(repository, instance, "eu_landing").run_requests
    run = begin(instance, repository, request)
    instance.report_run_canceled(run)
    assert instance.get_run_by_id(run.run_id).status == DagsterRunStatus.CANCELED

    assert attempts_of(instance, "eu/landing").failures == 0
    assert tick(repository, instance, "eu_landing").run_requests


def test_beside_a_daemon_the_rest_is_told_with_its_end_and_its_reason(repository, instance, spark):
    fail_with(ValueError("broken"), spark, repository, instance)

    (pending,) = [one for one in pending_work(repository, instance) if one.status.startswith("eu/landing")]

    until = attempts_of(instance, "eu/landing").retry_at
    assert until > datetime.now(UTC) - timedelta(seconds=60)
    assert pending.status.startswith(f"eu/landing: 1 failed in a row; resting until {until:%H:%M:%S} UTC (")
    assert "ValueError" in pending.status


def test_beside_a_daemon_an_outage_is_told_with_its_store(repository, instance, spark):
    fail_with(StoreUnavailable("S3 of region eu does not answer"), spark, repository, instance)

    (pending,) = [one for one in pending_work(repository, instance) if one.status.startswith("eu/landing")]

    assert pending.status.startswith("eu/landing: waits until the store answers (")
    assert "S3 of region eu does not answer" in pending.status


def test_a_success_ends_the_row(repository, instance, spark):
    fail_with(ValueError("broken"), spark, repository, instance)
    assert process("eu", repository, instance, silent).ok

    found = attempts_of(instance, "eu/landing")

    assert (found.failures, found.reason) == (0, "")
    assert instance.get_runs(RunsFilter(tags={WORK: "eu/landing"}))
