"""Processes of two versions side by side, as in a rolling deployment: no record is missing, none is there twice.

The earlier version is the project's own before `deploy/` came, taken from git; each of its processes runs its own code.
"""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import stack
from contracts.settings import RegionSettings
from gateway.admin.devices import NewDevice, add, make_token
from tests.builders.command import reported
from tests.builders.consumer_process import ConsumerProcess, put, region_file, wait_until
from tests.builders.gateway import GatewayProcess, on_stream, post, telemetry
from tests.builders.stack import state_parent

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parents[2]
_CONSUME = """
from contracts.settings import RegionSettings
from ingest.service.consume import consume

consume(RegionSettings.load())
"""


@pytest.fixture(scope="module")
def earlier() -> Iterator[Path]:
    """The tree of the version before."""
    with state_parent() as folder:
        came = git("log", "--diff-filter=A", "--format=%H", "--", "deploy/__init__.py").split()
        if not came:
            pytest.skip("git has no version before this one: clone the whole history")
        archive = subprocess.run(["git", "archive", f"{came[-1]}^"], cwd=ROOT, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(folder / "earlier", filter="data")
        yield folder / "earlier"


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    with state_parent() as folder:
        try:
            stack.up(folder / "state", region_file(folder, shards=4))
            yield folder / "state"
        finally:
            stack.down(folder / "state")


def environment(state: Path, machine: str, tree: Path = ROOT) -> dict[str, str]:
    own = state / "machines" / machine
    own.mkdir(parents=True, exist_ok=True)
    given = stack.region_environment(state, "eu", {})
    return {**given, "FLEETLAKE_STATE": str(own), "PYTHONPATH": str(tree), "FLEETLAKE_FLUSH_AGE_S": "3"}


def worker(state: Path, machine: str, tree: Path) -> ConsumerProcess:
    return ConsumerProcess(environment(state, machine, tree), program=[sys.executable, "-c", _CONSUME])


def test_consumers_of_two_versions_hand_over_to_each_other(state: Path, earlier: Path) -> None:
    settings = RegionSettings.load(stack.region_environment(state, "eu", {}))
    before = reported(state, "reconcile", "--region", "eu")["stages"]["landed"]
    old = [worker(state, f"old{number}", earlier) for number in range(2)]
    new: list[ConsumerProcess] = []
    sent = 0
    try:
        for one in old:
            one.wait_for("worker.started", within_s=180)
        for number in range(4):
            sent += len(put(settings, 1_000, first=number * 1_000))
            if number < 2:
                new.append(worker(state, f"new{number}", ROOT))
                new[-1].wait_for("lease.taken", within_s=180)
                old[number].send(signal.SIGTERM)
                assert old[number].end(120) == 0
        wait_until(lambda: landed(state) - before >= sent, 180)
    finally:
        for one in (*old, *new):
            one.kill()
    document = reported(state, "reconcile", "--region", "eu")
    assert document["differences"] == []
    assert document["stages"]["landed"] - before == sent


def landed(state: Path) -> int:
    return int(reported(state, "reconcile", "--region", "eu")["stages"]["landed"])


def test_what_gateways_of_two_versions_acknowledged_is_on_the_stream(state: Path, earlier: Path) -> None:
    settings = RegionSettings.load(stack.region_environment(state, "eu", {}))
    add(settings, [NewDevice("roller", "acme")])
    bearer = {"Authorization": f"Bearer roller:{make_token(settings, 'roller', days=None, replace=False)}"}
    base = stack.region_environment(state, "eu", {})
    old = GatewayProcess({**base, "PYTHONPATH": str(earlier)}).ready()
    new = GatewayProcess({**base, "PYTHONPATH": str(ROOT)}).ready()
    acknowledged: list[str] = []
    going = threading.Event()

    def drive() -> None:
        """A device that sends a message until one of the two takes it, as behind a balancer."""
        for number in range(10_000):
            if going.is_set():
                return
            for gateway in (old, new):
                if accepted(gateway, telemetry("roller", number), bearer):
                    acknowledged.append(f"roller-{number}")
                    break

    driving = threading.Thread(target=drive)
    try:
        driving.start()
        wait_until(lambda: len(acknowledged) > 20, 60)
        assert old.end() == 0
        after = len(acknowledged)
        wait_until(lambda: len(acknowledged) > after + 20, 60)
    finally:
        going.set()
        driving.join()
        old.kill()
        new.end()
    found = [json.loads(body)["event_id"] for body in on_stream(settings) if b'"roller"' in body]
    assert set(acknowledged) <= set(found)


def accepted(gateway: GatewayProcess, body: bytes, headers: dict[str, str]) -> bool:
    try:
        return post(gateway, body, **headers)[0] == 202
    except (OSError, ConnectionError):
        time.sleep(0.02)
        return False


def test_the_earlier_version_works_on_tables_of_this_one(state: Path, earlier: Path) -> None:
    """DDL only adds: the version before runs its own on them, and this one its own again after it."""
    code = "import sys; from contracts import ddl; sys.stdout.write(getattr(ddl, sys.argv[1])())"
    settings = RegionSettings.load(stack.region_environment(state, "eu", {}))
    databases = {"fleet": settings.postgres_dsn, "privacy": settings.privacy_dsn}
    known: set[tuple[str, ...]] = set()
    for tree in (earlier, ROOT, earlier, ROOT):
        for name, dsn in databases.items():
            words = [sys.executable, "-c", code, name]
            told = {**os.environ, "PYTHONPATH": str(tree)}
            text = subprocess.run(words, env=told, cwd=tree, capture_output=True, text=True, check=True).stdout
            with psycopg.connect(dsn.get_secret_value()) as connection:
                connection.execute("set local client_min_messages = warning")
                connection.execute(text.encode())
        found = {row for dsn in databases.values() for row in columns_in(dsn.get_secret_value())}
        assert len(found) > 250
        assert known <= found
        known = found


def columns_in(dsn: str) -> list[tuple[str, ...]]:
    """Schema, table and column of every table of the product."""
    query = "select table_schema, table_name, column_name from information_schema.columns where table_schema = any(%s)"
    with psycopg.connect(dsn) as connection:
        return connection.execute(query, [["registry", "staging", "ops", "privacy"]]).fetchall()
