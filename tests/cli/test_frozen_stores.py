"""Each store is frozen while commands work: they name it, end within their time, and answer from what is there."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

import stack as embedded
from contracts.errors import StoreUnavailable
from contracts.settings import RegionSettings
from lake.stores import away
from lake.trail import SpotQuery
from lake.trail.counted_files import object_store
from tests.builders.command import COMMAND_S, FLEETLAKE, environment, fleetlake
from tests.builders.stack import process_of, stack_folder

TIMEOUT_S = 6
"""The stores' time-out in these tests."""
BOUND_S = 90.0
"""Far more than a command may take on a slow machine, and less than any client's own time-out with its retries."""
DAY = ("--from", "2026-11-02", "--to", "2026-11-02")
NAMES = {"postgres": "Postgres", "kinesis": "DynamoDB", "s3": "S3", "redis": "Redis"}


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    with stack_folder() as (folder, regions):
        embedded.up(folder, regions)
        done = fleetlake(folder, "simulate", "--region", "eu", "--devices", "3", "--hours", "1", "--seed", "1")
        assert done.returncode == 0, done.stderr
        done = fleetlake(folder, "consume", "--region", "eu", "--until-idle")
        assert done.returncode == 0, done.stderr
        yield folder


@contextmanager
def frozen(state: Path, service: str) -> Iterator[None]:
    """The service's processes stand still, as on a machine that hangs: what connects to it waits."""
    whole = process_of(state, service)
    family = [whole, *whole.children(recursive=True)]
    try:
        for process in family:
            os.kill(process.pid, signal.SIGSTOP)
        yield
    finally:
        for process in family:
            if psutil.pid_exists(process.pid):
                os.kill(process.pid, signal.SIGCONT)


def ended(state: Path, *words: str) -> tuple[int, str, str]:
    """Exit code and output of a command that ends within its bound and prints no traceback."""
    began = time.monotonic()
    done = fleetlake(state, *words, timeout_s=BOUND_S, FLEETLAKE_STORE_TIMEOUT_S=str(TIMEOUT_S))
    print(f"{' '.join(words)}: {done.returncode} after {time.monotonic() - began:.1f} s\n{done.stderr}")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) < 20
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("service", NAMES)
def test_status_tells_the_service_that_hangs(state, service):
    with frozen(state, service):
        code, out, _ = ended(state, "status", "--json")
    assert code == 1
    assert f'"{service}": "failing"' in out


@pytest.mark.parametrize(
    ("command", "service"),
    [
        (("process", "--region", "eu"), "postgres"),
        (("process", "--region", "eu"), "kinesis"),
        (("reconcile", "--region", "eu"), "kinesis"),
        (("reconcile", "--region", "eu"), "s3"),
        (("rebuild-live", "--region", "eu"), "s3"),
        (("rebuild-live", "--region", "eu"), "redis"),
        (("trail", "eu-truck-0000", "--region", "eu", *DAY), "postgres"),
        (("trail", "eu-truck-0000", "--region", "eu", *DAY), "kinesis"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_command_names_the_store_that_hangs_and_ends(state, command, service):
    with frozen(state, service):
        code, _, error = ended(state, *command)
    assert code == 1
    assert f"{NAMES[service]} of region eu" in error or "Kinesis or DynamoDB of region eu" in error
    assert "fleetlake status" in error


def test_a_trail_is_told_without_the_live_state_that_hangs(state):
    with frozen(state, "redis"):
        code, out, error = ended(state, "trail", "eu-truck-0000", "--region", "eu", *DAY, "--json")
    assert code == 0
    assert '"missing": ["Redis"]' in out
    assert "Redis of region eu does not answer: records that have not landed yet are not in this answer" in error


@pytest.mark.parametrize("service", ["postgres", "kinesis", "s3"])
def test_a_query_that_keeps_its_connections_names_the_store_that_hangs_and_works_again(state, service):
    """As a service uses it: from a thread, for the whole life of its process."""
    settings = RegionSettings.load(
        embedded.region_environment(state, "eu", {}) | {"FLEETLAKE_STORE_TIMEOUT_S": str(TIMEOUT_S)}
    )
    start = datetime.now(UTC) - timedelta(days=2)
    asked = ("eu-truck-0000", start, start + timedelta(days=3))
    query = SpotQuery(settings)
    try:
        before = query.trail(*asked)
        began = time.monotonic()
        with frozen(state, service), pytest.raises(StoreUnavailable, match=f"{NAMES[service]} of region eu"):
            query.trail(*asked)
        assert time.monotonic() - began < BOUND_S
        assert query.trail(*asked).records.equals(before.records)
        assert before.files_read > 0
    finally:
        query.close()


def test_a_store_is_named_while_calls_to_it_hang(state):
    """Arrow makes no client while a call of another one hangs: who asked by a new one waited for that."""
    patient = embedded.region_environment(state, "eu", {}) | {"FLEETLAKE_STORE_TIMEOUT_S": str(BOUND_S)}
    settings = RegionSettings.load(patient)
    store, ended = object_store(settings), threading.Event()

    def hang() -> None:
        with suppress(OSError):
            store.get_file_info(f"{settings.bucket}/any")
        ended.set()

    with frozen(state, "s3"):
        hanging = threading.Thread(target=hang, daemon=True)
        hanging.start()
        assert not ended.wait(0.5)
        assert away(settings) == "S3 of region eu"
        assert not ended.is_set()
    hanging.join()


def test_a_process_goes_on_where_the_store_comes_back_in_time(state):
    """It says that it waits, and that the store is back."""
    with frozen(state, "kinesis"):
        process = subprocess.Popen(
            [str(FLEETLAKE), "process", "--region", "us"],
            env=environment(state), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        line = process.stderr.readline()
        assert "DynamoDB of region us does not answer; waiting for 30 s" in line
    _, error = process.communicate(timeout=COMMAND_S)
    assert process.returncode == 0, error
    assert "DynamoDB of region us answers again" in error
