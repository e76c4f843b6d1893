"""The feed: every device day once, again when it was corrected, and never under another name."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest

from serving.access.caller import Role
from tests.builders.lake import Landing, drive
from tests.builders.serving import DAY, devices_of, fleets_of, trip_of
from tests.serving.conftest import Served

ACME, ZETA = fleets_of("eu")


@pytest.fixture
def database(served: Served) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(served.eu.settings.postgres_dsn.get_secret_value(), autocommit=True) as connection:
        yield connection


def built(database: "psycopg.Connection[Any]", day: Any, sequence: int) -> None:
    """As the marts' run does once dbt has ended: it says when dbt began, which was a while ago."""
    database.execute(
        "select ops.mark_applied('marts', %s, %s, 12, now() - interval '1 hour' + make_interval(secs => %s))",
        (day, sequence, sequence),
    )


def read(client: httpx.Client, after: str | None, limit: int = 1000) -> tuple[list[dict[str, Any]], str]:
    """All that is there behind a cursor, and the next one."""
    items: list[dict[str, Any]] = []
    while True:
        page = client.get("/v1/feed", params={"limit": limit} | ({"after": after} if after else {})).json()
        items, after = items + page["items"], page["next"]
        if not page["more"]:
            return items, after


def test_device_days_come_once_and_again_when_they_are_corrected(
    served: Served, database: "psycopg.Connection[Any]"
) -> None:
    names = [(device, f"{DAY:%Y-%m-%d}") for device in devices_of(ACME)]
    with served.eu.client(served.eu.token(ACME)) as client:
        built(database, DAY.date(), 5)
        database.execute(
            "insert into staging.fault_day (device_id, day, code, first_ts, last_ts, records)"
            " values (%s, %s, 'P0300', %s, %s, 3) on conflict do nothing",
            (devices_of(ACME)[1], DAY.date(), DAY, DAY),
        )
        items, after = read(client, None, limit=4)
        assert [(one["device_id"], one["day"]) for one in items] == names
        assert [trip["trip_id"] for trip in items[0]["trips"]] == [trip_of(devices_of(ACME)[0])]
        assert [fault["code"] for fault in items[1]["faults"]] == ["P0300"]
        assert items[0]["figures"]["trips"] == 1
        assert read(client, after) == ([], after)
        built(database, DAY.date(), 6)
        again, later = read(client, after)
        assert [(one["device_id"], one["day"]) for one in again] == names
        assert read(client, later) == ([], later)


def test_a_day_whose_run_ended_late_is_not_missed(served: Served, database: "psycopg.Connection[Any]") -> None:
    early, late = (DAY + timedelta(days=20)).date(), (DAY + timedelta(days=21)).date()
    for day in (early, late):
        database.execute(
            "insert into marts.device_day (device_id, day, records, flagged_records, late_records, first_ts, last_ts,"
            " engine_s, moving_s, idle_s, off_s, distance_gps_km, trips, is_final)"
            " values (%s, %s, 1, 0, 0, now(), now(), 0, 0, 0, 0, 0, 0, false)",
            (devices_of(ZETA)[0], day),
        )
    with served.eu.client(served.eu.token(ZETA)) as client:
        _, after = read(client, None)
        built(database, late, 900)
        items, after = read(client, after)
        assert [one["day"] for one in items] == [f"{late}"]
        # Its dbt run began before that of the other day, and is recorded behind it.
        built(database, early, 800)
        assert [one["day"] for one in read(client, after)[0]] == [f"{early}"]


def test_a_cursor_of_nobody_is_refused(served: Served) -> None:
    with served.eu.client(served.eu.token(ACME)) as client:
        for after in ("x", "1/a b", "-1", "9" * 30, "1//"):
            assert client.get("/v1/feed", params={"after": after}).status_code == 400, after


def test_visits_of_a_day_come_with_it_and_are_corrected_under_its_name(
    served: Served, database: "psycopg.Connection[Any]"
) -> None:
    fleet, device = "eu-feed", "eu-feed-van-00"
    begin = DAY + timedelta(days=5, hours=8)
    database.execute("insert into registry.fleet (fleet_id, name) values (%s, %s)", (fleet, fleet))
    database.execute("insert into registry.device (device_id, fleet_id, type) values (%s, %s, 'van')", (device, fleet))
    database.execute(
        "insert into marts.device_day (device_id, day, records, flagged_records, late_records, first_ts, last_ts,"
        " engine_s, moving_s, idle_s, off_s, distance_gps_km, trips, is_final)"
        " values (%s, %s, 1, 0, 0, now(), now(), 0, 0, 0, 0, 0, 0, false)",
        (device, begin.date()),
    )
    landing, rows = Landing(served.eu.settings), drive(device, begin, 100, step_s=10)
    landing.land(rows, shard_id="shardId-feed")
    with (
        served.eu.client(served.eu.token(fleet, role=Role.operator)) as client,
        served.eu.client(served.eu.token(fleet)) as reader,
    ):
        ring = [[7.9, 49.0], [8.1, 49.0], [8.1, rows[49]["lat"] + 1e-9], [7.9, rows[49]["lat"] + 1e-9]]
        made = {"fleet_id": fleet, "name": "Gate", "ring": ring, "valid_from": "2026-01-01T00:00:00Z"}
        zone = client.post("/v1/zones", json=made).json()
        built(database, begin.date(), 1_000)

        def days(after: str | None) -> tuple[list[dict[str, Any]], str]:
            page = reader.get("/v1/feed", params={"visits": True} | ({"after": after} if after else {})).json()
            return page["items"], page["next"]

        (item,), after = days(None)
        (visit,) = item["visits"]
        asked = {"from": f"{begin:%Y-%m-%d}", "to": f"{begin:%Y-%m-%d}"}
        assert [visit] == reader.get(f"/v1/devices/{device}/visits", params=asked).json()["items"]
        assert visit["zone_id"] == zone["zone_id"]
        (plain,) = reader.get("/v1/feed").json()["items"]
        assert plain == item | {"visits": None}
        # Late records tell that it had been outside in between: the day comes again, as one item of the same name.
        outside = [row | {"lat": 60.0} for row in drive(device, begin + timedelta(seconds=95), 2, step_s=2)]
        landing.land(outside, shard_id="shardId-feed")
        built(database, begin.date(), 1_001)
        (again,), last = days(after)
        assert (again["device_id"], again["day"]) == (item["device_id"], item["day"])
        assert [one["zone_id"] for one in again["visits"]] == [zone["zone_id"]] * 2
        assert days(last) == ([], last)
        assert reader.get("/v1/feed", params={"visits": True, "limit": 101}).status_code == 400
