"""Killed with -9 between history's commit and the derivations, and started again: no due day is lost."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

import stack as embedded
from contracts.ports import free_port
from contracts.settings import RegionSettings
from orchestration.local.dagster_home import prepare_home
from orchestration.local.servers import Servers, serving
from tests.builders.command import FLEETLAKE, environment, reported

REGIONS = """
[af]
aws_region = "af-south-1"
time_zone = "Africa/Johannesburg"
legal_regime = "POPIA (South Africa)"
retention_days = 1095
stream_shards = 2
history_buckets = 2
"""
DEADLINE_S = 420
STORED = [("event_logs", "event"), ("runs", "run_body"), ("run_tags", "value"), ("job_ticks", "tick_body")]
"""Where Dagster keeps most of its text."""
TEXTS = """
    select table_name, column_name from information_schema.columns
    where table_schema = 'public' and data_type in ('text', 'character varying', 'json', 'jsonb')
"""
"""Where it keeps any."""
ARRIVED = """
    select (select count(*) from ops.landing_object where on_time_merged is null or stragglers_merged is null) = 0
       and (select coalesce(sum(inserted), 0) from ops.merge) = (select coalesce(sum(records), 0) from marts.device_day)
       and not exists (select from ops.changed c left join ops.derived d using (day)
                       where (d.sequence is null or d.sequence < c.sequence)
                         and c.day <= (now() at time zone 'Africa/Johannesburg')::date)
"""


class Site:
    """A stack of one region, and what its stores say."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.region = embedded.region_environment(state, "af", {}) | {"FLEETLAKE_MERGE_OPEN_HOURS": "true"}
        self.dagster = prepare_home(embedded.dagster_environment(state))

    def send(self, seed: int) -> None:
        """Some records, landed."""
        reported(self.state, "simulate", "--region", "af", "--devices", "6", "--hours", "30", "--seed", str(seed))
        reported(self.state, "consume", "--region", "af", "--until-idle")

    def one(self, query: str):
        return self.rows(query)[0][0]

    def rows(self, query: str) -> list[tuple]:
        with psycopg.connect(RegionSettings.load(self.region).postgres_dsn.get_secret_value()) as connection:
            return connection.execute(query).fetchall()

    def merges(self) -> int:
        return self.one("select count(*) from ops.merge")

    def has_arrived(self) -> bool:
        """Whether every landed record is in the marts, which the first run of dbt makes."""
        return self.one("select to_regclass('marts.device_day') is not null") and self.one(ARRIVED)

    def days_behind(self) -> int:
        return self.one("select count(*) from ops.changed") - self.one("select count(*) from ops.derived")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_S} s"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="fleetlake-killed-"))
    folder.chmod(0o755)
    regions = folder / "regions.toml"
    regions.write_text(REGIONS)
    try:
        embedded.up(folder / "state", regions)
        yield Site(folder / "state")
    finally:
        embedded.down(folder / "state")
        shutil.rmtree(folder, ignore_errors=True)


def arrived(site: Site, servers: Servers) -> bool:
    """Whether all is in the marts; what has ended by itself is started again meanwhile."""
    servers.keep_running()
    return site.has_arrived()


def assert_everything_arrived(site: Site) -> None:
    stages = reported(site.state, "reconcile", "--region", "af")["stages"]

    assert stages["stream"] == stages["landed"] > 0
    assert stages["history"] + stages["duplicates"] == stages["landed"]
    assert stages["history"] == stages["device_day"] == stages["marts"]


def test_process_killed_after_the_commit_is_carried_on_by_the_next(site):
    site.send(seed=1)
    process = subprocess.Popen(
        [str(FLEETLAKE), "process", "--region", "af"],
        env=environment(site.state), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_until(lambda: site.merges() > 0 or process.poll() is not None, "a merge")
    process.kill()
    process.wait()
    assert site.one("select count(*) from ops.derived") == 0

    done = reported(site.state, "process", "--region", "af")

    assert [run["ok"] for run in done["runs"]] == [True] * len(done["runs"])
    assert site.has_arrived()
    assert_everything_arrived(site)
    assert reported(site.state, "process", "--region", "af")["runs"] == []


def test_daemon_killed_after_the_commit_and_started_again_loses_no_day(site):
    site.send(seed=2)
    before = site.merges()
    with serving({"af": site.region}, site.dagster, site.state / "logs" / "dagster") as servers:
        wait_until(lambda: site.merges() > before, "a merge by a run of the daemon")
        os.kill(servers.named("daemon").process.pid, signal.SIGKILL)
        servers.named("daemon").process.wait()
        assert not site.has_arrived()

        wait_until(lambda: arrived(site, servers), "every due day derived and in the marts")

    assert_everything_arrived(site)


@pytest.mark.long
def test_code_server_killed_after_the_commit_is_started_again_and_no_day_is_lost(site):
    site.send(seed=3)
    before, said = site.merges(), []
    logs = site.state / "logs" / "dagster"
    with serving({"af": site.region}, site.dagster, logs, say=said.append) as servers:
        wait_until(lambda: site.merges() > before, "a merge by a run of the daemon")
        killed, daemon = servers.named("af"), servers.named("daemon")
        os.kill(killed.process.pid, signal.SIGKILL)
        killed.process.wait()

        wait_until(lambda: arrived(site, servers), "every due day derived and in the marts")

        assert servers.named("af").port == killed.port
        assert servers.named("daemon") is daemon
    assert said[-1] == "af was started again"
    assert_everything_arrived(site)


def test_no_device_is_named_in_dagster_s_storage(site):
    devices = [f"%{device}%" for (device,) in site.rows("select device_id from registry.device")]
    assert devices
    with psycopg.connect(site.dagster["FLEETLAKE_DAGSTER_DSN"].replace("+psycopg2", "")) as connection:
        for table, column in STORED:
            assert connection.execute(f"select count(*) from {table} where {column} is not null").fetchone() > (0,)
        columns = connection.execute(TEXTS).fetchall()
        assert set(STORED) <= set(columns)
        for table, column in columns:
            query = f'select count(*) from "{table}" where "{column}"::text like any(%s)'
            assert connection.execute(query, [devices]).fetchone() == (0,), (table, column)


def test_no_device_is_named_in_a_log_or_a_metric(site):
    names = [device.encode() for (device,) in site.rows("select device_id from registry.device")]
    site.send(seed=4)
    files = [file for file in (site.state / "logs").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) > 0
    for file in files:
        assert not any(name in file.read_bytes() for name in names), file
    port = free_port()
    command = [str(FLEETLAKE), "consume", "--region", "af"]
    with (site.state / "logs" / "consumer.log").open("wb") as log:
        tuned = environment(site.state) | {"FLEETLAKE_METRICS_PORT": str(port)}
        consumer = subprocess.Popen(command, env=tuned, stdout=log, stderr=log)
    try:
        wait_until(lambda: b"fleetlake" in page(port, "metrics"), "metrics")
        told = page(port, "metrics") + page(port, "healthz")
    finally:
        consumer.terminate()
        consumer.wait()
    told += (site.state / "logs" / "consumer.log").read_bytes()
    assert b"worker.started" in told
    assert not any(name in told for name in names)


def page(port: int, name: str) -> bytes:
    """A page of the consumer; empty while it starts."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=10) as answer:
        return bytes(answer.read())
    return b""
