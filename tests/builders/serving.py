"""A service in a process of its own on real stores, what its region holds, and tokens for it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg

import stack as embedded
from contracts.ports import free_port
from contracts.settings import RegionSettings, WorldSettings
from ingest.live import RedisLive
from serving.access.caller import Role
from serving.access.laptop import key_set, sign
from tests.builders.consumer_process import wait_until
from tests.builders.lake import Landing, drive, landing_row, landing_table

DAY = datetime(2026, 11, 2, tzinfo=UTC)
DRIVE_AT = DAY + timedelta(hours=9)
POINTS = 600
ANSWER_WITHIN_S = 60.0
_RUN = (
    "import os, sys; from contracts.settings import RegionSettings, WorldSettings; "
    "from serving.service.processes import serve; "
    "kind = WorldSettings if os.environ['FLEETLAKE_REGION'] == 'world' else RegionSettings; "
    "serve(kind.load(), int(sys.argv[1]))"
)
_MARTS = """
create schema if not exists marts;
create table if not exists marts.trip (
    trip_id text, device_id text, day date, start_ts timestamptz, end_ts timestamptz, start_lat_deg float,
    start_lon_deg float, end_lat_deg float, end_lon_deg float, distance_km float, moving_s float, idle_s float,
    max_speed_kmh float, fuel_l float, records bigint, is_final boolean
);
create table if not exists marts.device_day (
    device_id text, day date, records bigint, flagged_records bigint, late_records bigint, first_ts timestamptz,
    last_ts timestamptz, engine_s float, moving_s float, idle_s float, off_s float, unknown_s float,
    distance_gps_km float, distance_odometer_km float, max_speed_kmh float, fuel_l float, trips int, is_final boolean
);
create table if not exists marts.fleet_day (
    fleet_id text, day date, devices_available bigint, devices_reporting bigint, devices_active bigint,
    utilisation_engine_s float, utilisation_available_s float, moving_s float, idle_s float, distance_gps_km float,
    fuel_l float, trips bigint, is_final boolean
);
"""
"""The columns of dbt's marts that the API reads."""


def fleets_of(region: str) -> tuple[str, str]:
    """Two fleets whose names stand in everything that is theirs."""
    return f"{region}-acme", f"{region}-zeta"


def devices_of(fleet: str, count: int = 6) -> list[str]:
    """A fleet's devices."""
    return [f"{fleet}-car-{number:02d}" for number in range(count)]


def trip_of(device: str) -> str:
    """The one trip of a device."""
    return f"{device}-{round(DRIVE_AT.timestamp() * 1000)}"


def fill_region(settings: RegionSettings) -> None:
    """Both fleets: registry, live state, a drive of 600 records of each first device in landing, marts."""
    fleets = fleets_of(settings.region)
    with psycopg.connect(settings.postgres_dsn.get_secret_value(), autocommit=True) as connection:
        connection.execute(_MARTS)
        for fleet in fleets:
            _fill_fleet(connection, fleet)
    landing = Landing(settings)
    live: list[dict[str, Any]] = []
    for number, fleet in enumerate(fleets):
        devices = devices_of(fleet)
        landing.land(drive(devices[0], DRIVE_AT, POINTS, step_s=10))
        live += [
            live_row(device, lat=50.0 + number + place / 100, speed_kmh=40.0 * (place % 2), sequence=place + 1)
            for place, device in enumerate(devices)
        ]
    write_live(settings, live)


def fill_world(settings: WorldSettings) -> None:
    """What three regions released of two days."""
    with psycopg.connect(settings.postgres_dsn.get_secret_value(), autocommit=True) as connection:
        connection.execute(
            "create table if not exists marts.utilisation_day (region text, day date, device_type text, cohort bigint,"
            " devices bigint, records float, engine_h float, moving_h float, distance_km float)"
        )
        for region in ("eu", "us", "af"):
            for day in (DAY, DAY + timedelta(days=1)):
                connection.execute(
                    "insert into marts.utilisation_day values (%s, %s, 'all', 20, 20, 1000, 80, 60, 5000)",
                    (region, day.date()),
                )


def _fill_fleet(connection: "psycopg.Connection[Any]", fleet: str) -> None:
    connection.execute("insert into registry.fleet (fleet_id, name) values (%s, %s)", (fleet, f"Fleet {fleet}"))
    connection.execute(
        "insert into marts.fleet_day values (%s, %s, 6, 6, 3, 100, 518400, 90, 10, 12.5, 1.5, 1, true)",
        (fleet, DAY.date()),
    )
    for device in devices_of(fleet):
        connection.execute(
            "insert into registry.device (device_id, fleet_id, make, model, type)"
            " values (%s, %s, 'Make', 'Model', 'car')",
            (device, fleet),
        )
        end = DRIVE_AT + timedelta(seconds=10 * POINTS)
        connection.execute(
            "insert into marts.trip values (%s, %s, %s, %s, %s, 50, 8, 50.5, 8, 60, 5990, 0, 36, 4.5, 600, true)",
            (trip_of(device), device, DAY.date(), DRIVE_AT, end),
        )
        connection.execute(
            "insert into marts.device_day"
            " values (%s, %s, 600, 0, 0, %s, %s, 6000, 5990, 10, 0, 0, 60, 60, 36, 4.5, 1, true)",
            (device, DAY.date(), DRIVE_AT, end),
        )


def live_row(device: str, *, at: datetime | None = None, sequence: int = 1, **columns: Any) -> dict[str, Any]:
    """A record of now."""
    moment = at or datetime.now(UTC)
    row = landing_row(device, moment, f"{device}-{moment.timestamp()}", lon=8.0, heading_deg=90.0, engine_on=True)
    return row | {"sequence_number": str(sequence)} | columns


def write_live(settings: RegionSettings, rows: Sequence[Mapping[str, Any]]) -> None:
    """As the consumer does."""

    async def write() -> None:
        live = RedisLive.of(settings)
        try:
            await live.write(landing_table(rows).combine_chunks().to_batches()[0])
        finally:
            await live.close()

    # In a thread of its own: a test that drives a browser has a loop in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(write())).result()


def _environment(state: Path, region: str) -> dict[str, str]:
    if region == "world":
        return embedded.world_environment(state, {})
    return embedded.region_environment(state, region, {})


class Service:
    """A region's service; its log is a list of events that grows."""

    def __init__(self, state: Path, region: str) -> None:
        self.state, self.region = state, region
        self.environment = _environment(state, region)
        if region != "world":
            self.settings = RegionSettings.load(self.environment)
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.log: list[dict[str, Any]] = []
        self._process: subprocess.Popen[str] | None = None

    def start(self, *, workers: int = 1, environment: Mapping[str, str] | None = None, **tuning: object) -> "Service":
        """Start it. tuning: FLEETLAKE_SERVING_*."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLAKE_")}
        own = {"port": self.port, "jwks": key_set(self.state), **tuning}
        tuned = {f"FLEETLAKE_SERVING_{name.upper()}": str(value) for name, value in own.items()}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _RUN, str(workers)],
            env={**kept, **self.environment, **(environment or {}), **tuned},
            stderr=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def ready(self) -> "Service":
        """Wait until it answers that it is."""
        wait_until(self._is_ready, 120, lambda: str(self.log[-5:]))
        return self

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of that event."""
        return [line for line in list(self.log) if line.get("event") == name]

    def token(self, *fleets: str, role: Role = Role.viewer, regions: Sequence[str] = (), hours: float = 1.0) -> str:
        """A token of these fleets."""
        return self.signed(*fleets, role=role, regions=regions, hours=hours)[0]

    def signed(
        self, *fleets: str, role: Role = Role.viewer, regions: Sequence[str] = (), hours: float = 1.0
    ) -> tuple[str, str]:
        """A token and its id."""
        named = list(regions) or [self.region]
        return sign(
            self.state, regions=named, fleets=fleets, role=role, hours=hours, subject="tests", audience="fleetlake"
        )

    def client(self, token: str | None = None) -> httpx.Client:
        """A client with the token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.origin, headers=headers, timeout=ANSWER_WITHIN_S)

    def end(self, within_s: float = 40) -> int:
        """SIGTERM, and wait; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(within_s)

    def kill(self) -> None:
        """kill -9, also where it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def metric(self, line: str) -> float:
        """The value of a metric."""
        with self.client() as client:
            page = client.get("/metrics").text
        return sum(
            float(row.rpartition(" ")[2]) for row in page.splitlines() if row.startswith(f"fleetlake_serving_{line} ")
        )

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.origin}/readyz", timeout=10).status_code == 200
        except httpx.HTTPError:
            return False

    def _read(self) -> None:
        assert self._process is not None
        for line in self._process.stderr or ():
            try:
                self.log.append(json.loads(line))
            except json.JSONDecodeError:
                self.log.append({"event": "text", "text": line, "at": time.monotonic()})
