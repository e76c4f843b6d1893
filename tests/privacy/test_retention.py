"""Retention over the stores that need no Spark: dry run and outcome agree, it is written down, and it names nobody."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import psycopg
import pytest

from assets.retention_work import LakeRetaining
from contracts.names import redis_latest, redis_trail
from contracts.settings import RegionSettings
from lake.live_state import forget_live, live_client
from lake.maintain.retention_policy import read_expiry, shortest_days
from marts.holds import place, set_days
from privacy.audit import acts
from privacy.desk import count_requests
from privacy.requests import Kind, SubjectKind, complete, open_request
from privacy.retention import a_day_before, latest_run
from tests.builders.marts import connect, empty, fetch, register
from tests.builders.serving import live_row, write_live

NOW = datetime.now(UTC)
OLD, YOUNG, HELD = "ret-old", "ret-young", "ret-held"


@pytest.fixture(scope="module")
def region(stack) -> Iterator[RegionSettings]:
    """40 days by region, 10 for the fleet: one device last heard 20 days ago, one of another fleet, one on hold."""
    settings = stack.settings("af")
    empty(settings)
    shorter = msgspec.structs.replace(settings.row, retention_days=40)
    register(settings, "ret-brief", {OLD: "car", HELD: "car"})
    register(settings, "ret-usual", {YOUNG: "car"})
    set_days(settings, "fleet", "ret-brief", 10)
    place(settings, "device", HELD, "a claim", "tests")
    for device in (OLD, HELD, YOUNG):
        write_live(settings, [live_row(device, at=NOW - timedelta(days=20), lat=1.0)])
    with connect(settings) as connection:
        insert = "insert into registry.share (hash, name, devices, fleets, valid_from, valid_to, created_by)"
        for name, days in ((b"a", 41), (b"b", 39)):
            end = NOW - timedelta(days=days)
            values = [name, "link", [OLD], ["ret-usual"], end - timedelta(days=1), end, "tests"]
            connection.execute(f"{insert} values (%s, %s, %s, %s, %s, %s, %s)", values)
    with psycopg.connect(settings.privacy_dsn.get_secret_value()) as connection:
        for days in (41, 39):
            at = NOW - timedelta(days=days)
            read = "insert into privacy.past_read (read_at, subject, token_id, role, device_hmac, what)"
            connection.execute(f"{read} values (%s, 's', 't', 'viewer', '\\x01', 'trail')", [at])
            cell = "insert into privacy.release_cell (release, day, cell, version, contributors, devices, published)"
            connection.execute(
                f"{cell} values ('r', %s, 'all', 1, '{{\"\\\\x01\"}}', '{{\"\\\\x02\"}}', '{{}}')", [at.date()]
            )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(settings), "row", property(lambda _: shorter))
        yield settings
    forget_live(settings, [OLD, YOUNG, HELD])
    empty(settings)


def test_a_dry_run_is_what_a_run_removes_in_every_store_and_a_second_run_removes_nothing(region):
    retaining = LakeRetaining(region)
    planned = retaining.look()
    due = {name: one.overdue for name, one in planned.stores.items() if one.overdue}
    assert due == {
        "live.latest": 1,
        "live.trail": 1,
        "registry.share": 1,
        "privacy.past_read": 1,
        "privacy.release_cell": 1,
    }
    assert {"history.telemetry", "history.trip", "staging.trip", "landing", "exports"} <= set(planned.stores)

    done = retaining.run(lambda _: {}, "officer")
    assert {name: rows for name, rows in done.removed.items() if rows} == due
    assert done.overdue == 0 == retaining.look().overdue
    with live_client(region) as client:
        found = {
            device: client.exists(redis_latest("af", device), redis_trail("af", device))
            for device in (OLD, HELD, YOUNG)
        }
    assert found == {OLD: 0, HELD: 2, YOUNG: 2}
    assert sum(retaining.run(lambda _: {}, "officer").removed.values()) == 0


def test_what_was_published_stays_and_its_marks_are_gone(region):
    with psycopg.connect(region.privacy_dsn.get_secret_value()) as connection:
        query = "select contributors = '{}', devices = '{}', frozen, published is not null from privacy.release_cell"
        rows = connection.execute(f"{query} order by day").fetchall()
    assert rows == [(True, True, True, True), (False, False, False, True)]


def test_a_run_is_on_record_and_names_nobody(region):
    said = [act for act in acts(region) if act.act == "retention.run"]
    assert len(said) == 1  # the second removed nothing
    assert said[0].who == "officer"
    assert all(name not in said[0].detail for name in (OLD, "ret-brief"))
    ended_at, removed = latest_run(region)
    assert ended_at > NOW and set(removed.values()) == {0}
    assert fetch(region, "select count(*) from ops.retention_run")[0][0] == 2


def test_landing_goes_with_the_shortest_number_and_a_check_looks_a_day_back(region):
    assert shortest_days(region) == 10
    today = read_expiry(region).today
    assert read_expiry(region, a_day_before(today)).before == today - timedelta(days=41)
    assert LakeRetaining(region).check().today == today - timedelta(days=1)


def test_the_desk_counts_requests_open_due_and_done(region):
    before = count_requests(region).total()
    made = open_request(region, Kind.EXPORT, SubjectKind.DEVICE, OLD, who="officer")
    late = open_request(region, Kind.RESTRICT, SubjectKind.DEVICE, OLD, who="officer")
    with psycopg.connect(region.privacy_dsn.get_secret_value()) as connection:
        move = "update privacy.requests set due_at = now() - interval '1 day' where request_id = %s"
        connection.execute(move, [late.request_id])
    found = count_requests(region)
    total = found.total()
    assert (total.open - before.open, total.overdue - before.overdue, total.due_soon - before.due_soon) == (2, 1, 1)
    assert found.overdue >= 1 and found.metadata()["open_export"] >= 1
    assert OLD not in str(found.document())
    for request in (made, late):
        complete(region, request, who="officer")
    assert count_requests(region).total().done == before.done + 2
