"""What the region's databases say of freshness and of erasures that are late."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from deploy.watch import embedded_metrics, look
from tests.conftest import RunningStack


@pytest.fixture
def databases(stack: RunningStack) -> Iterator[tuple[Any, Any]]:
    """Both databases of a region, in transactions that are taken back."""
    settings = stack.settings("af")
    with (
        psycopg.connect(settings.postgres_dsn.get_secret_value()) as fleet,
        psycopg.connect(settings.privacy_dsn.get_secret_value()) as privacy,
    ):
        for table in ("landing_object", "changed", "derived", "applied", "watermarks", "reconciliation"):
            fleet.execute(f"delete from ops.{table}".encode())
        yield fleet, privacy
        fleet.rollback()
        privacy.rollback()


def test_marts_that_have_everything_are_of_no_age(databases: tuple[Any, Any]) -> None:
    seen = look(*databases)
    assert (seen.marts_age_seconds, seen.reconciliation_failed) == (0, 0)


def test_a_closed_hour_that_is_not_merged_ages(databases: tuple[Any, Any]) -> None:
    fleet, _ = databases
    columns = "(key, shard_id, last_seq, hour, rows, bytes, stragglers, committed_at)"
    fleet.execute("insert into ops.watermarks (shard_id, position, watermark, ended) values ('s', '1', now(), false)")
    fleet.execute(
        f"insert into ops.landing_object {columns} values "
        "('k', 's', '1', date_trunc('hour', now()) - interval '3 hours', 1, 1, 0, now())"
    )
    age_s = look(*databases).marts_age_seconds
    assert 2 * 3_600 <= age_s <= 3 * 3_600 + 60


def test_an_hour_that_still_grows_is_no_work_yet(databases: tuple[Any, Any]) -> None:
    fleet, _ = databases
    columns = "(key, shard_id, last_seq, hour, rows, bytes, stragglers, committed_at)"
    fleet.execute("insert into ops.watermarks (shard_id, position, watermark, ended) values ('s', '1', now(), false)")
    fleet.execute(
        f"insert into ops.landing_object {columns} values ('k', 's', '1', date_trunc('hour', now()), 1, 1, 0, now())"
    )
    assert look(*databases).marts_age_seconds == 0


def test_a_day_that_is_derived_but_not_built_ages(databases: tuple[Any, Any]) -> None:
    fleet, _ = databases
    fleet.execute("insert into ops.changed (day, sequence) values (current_date, 5)")
    fleet.execute(
        "insert into ops.derived (day, sequence, rows_sequence, derived_at) "
        "values (current_date, 5, 5, now() - interval '4 hours')"
    )
    assert look(*databases).marts_age_seconds == pytest.approx(4 * 3_600, abs=60)
    fleet.execute("insert into ops.applied (target, day, sequence, rows) values ('marts', current_date, 5, 1)")
    assert look(*databases).marts_age_seconds == 0


def test_a_reconciliation_that_does_not_agree_is_told(databases: tuple[Any, Any]) -> None:
    fleet, _ = databases
    fleet.execute("insert into ops.reconciliation (ok, stages, differences) values (false, '{}', '[]')")
    assert look(*databases).reconciliation_failed == 1


def test_what_is_told_is_cloudwatch_s_embedded_format(databases: tuple[Any, Any]) -> None:
    told = embedded_metrics(look(*databases), "af", 1_000)
    directive = told["_aws"]["CloudWatchMetrics"][0]
    assert directive["Namespace"] == "Fleetlake/watch"
    assert {metric["Name"] for metric in directive["Metrics"]} < set(told)
    assert told["region"] == "af"
