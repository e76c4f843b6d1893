"""The consumer's whole path on one core, beside Python consumers that only count, on one canned replay server.

Whole path: fetch, de-aggregate, decode, validate, flag, live state in Valkey, sorted zstd Parquet into S3, ledger. The
consumer has one core to itself; the stores and the replay server share the other. Peers get the same core and server.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import stack
from bench.rows import Row
from bench.shares import quarter_each

REGION = "eu"
SHARDS = 48
RECORDS = int(os.environ.get("FLEETLAKE_BENCH_RECORDS", "2400000"))
"""Enough that taking 48 leases at the start and being idle at the end, under a second, count little."""
SHARED_RECORDS = 2 * RECORDS
"""For processes that have a quarter of a core each, and so take four times as long to start and to end."""
PEER_RECORDS = 120_000
"""Peers only count, so their rate does not depend on how long they run."""


def run() -> list[Row]:
    """Rows in records a second; ratio is Fleetlake's rate over the peer's."""
    with _on_the_first_core(), canned("plain", PEER_RECORDS) as endpoint:
        boto3_rate = _peer("bench.peers.boto3_count", endpoint)
        async_rate = _peer("bench.peers.async_kinesis_count", endpoint, str(PEER_RECORDS))
    plain = whole_path("plain", workers=1)
    kpl = whole_path("kpl", workers=1)
    rich = whole_path("rich", workers=1)
    two = whole_path("plain", workers=2)
    # Forth and back: a machine that grows slower or faster meanwhile does so for both.
    runs = [(processes, _at_a_quarter_each(processes)) for processes in (1, 2, 2, 1)]
    quarter, quarters = (2 / sum(1 / rate for of, rate in runs if of == processes) for processes in (1, 2))
    return [
        _row("whole path, one core, 218 B records", plain["rate"], "boto3 loop that counts", boto3_rate),
        _row("whole path, one core, 218 B records", plain["rate"], "async-kinesis that counts", async_rate),
        _row("whole path, CPU of the process alone", plain["cpu_rate"], "boto3 loop that counts", boto3_rate),
        _row("whole path, one core, KPL-aggregated", kpl["rate"], "plain records", plain["rate"]),
        _row("whole path, one core, signals and attributes", rich["rate"], "plain records", plain["rate"]),
        _row("whole path, two processes on both cores", two["rate"], "one process", plain["rate"]),
        _row("two processes, a quarter of a core each", quarters, "one with a quarter of a core", quarter),
    ]


@contextmanager
def _on_the_first_core() -> Iterator[None]:
    """What is started within runs there: stores and the replay server, beside a consumer that has the other."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def _stores() -> Iterator[Path]:
    """New stores for each row, so that no row pays for cleaning up after another."""
    with tempfile.TemporaryDirectory(prefix="fleetlake-bench-") as folder, _on_the_first_core():
        state = Path(folder)
        stack.up(state)
        try:
            yield state
        finally:
            stack.down(state)


def _row(what: str, value: float, peer: str, peer_value: float) -> Row:
    return Row(what=what, value=value, unit="records/s", peer=peer, peer_value=peer_value, ratio=value / peer_value)


@contextmanager
def canned(payload: str, records: int) -> Iterator[str]:
    """The endpoint of a replay server that holds so many user records."""
    words = ["--payload", payload, "--records", str(records), "--shards", str(SHARDS)]
    server = subprocess.Popen([sys.executable, "-m", "bench.canned_kinesis", *words], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.kill()
        server.wait()


def _peer(module: str, *words: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", module, *words], capture_output=True, text=True, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {1})
    )  # fmt: skip
    found = json.loads(done.stdout)
    return float(found["records"] / found["seconds"])


def whole_path(payload: str, *, workers: int) -> dict[str, float]:
    """Records a second by the clock and by CPU time, and the process's memory at most (MiB)."""
    with _stores() as state, canned(payload, RECORDS) as endpoint:
        started = time.perf_counter()
        report, used = _consume(state, endpoint, workers)
        wall_s = time.perf_counter() - started
    expected = RECORDS // SHARDS * SHARDS
    assert report["landed"] == expected, f"landed {report['landed']} of {expected}: no figure from a path that loses"
    cpu_s, peak_mib = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print(
        f"{payload}, {workers} worker(s): {report['seconds']:.1f} s of {wall_s:.1f} s, CPU {cpu_s:.1f} s, "
        f"at most {peak_mib:.0f} MiB",
        file=sys.stderr,
    )
    return {
        "rate": report["landed"] / report["seconds"],
        "cpu_rate": report["landed"] / cpu_s,
        "peak_mib": peak_mib,
    }


def _consume(state: Path, endpoint: str, workers: int) -> tuple[dict[str, Any], resource.struct_rusage]:
    cores = {1} if workers == 1 else {0, 1}
    consumer = subprocess.Popen(
        _command(workers), env=_environment(state, endpoint), stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, cores)  # noqa: PLW1509 - no thread runs yet
    )  # fmt: skip
    assert consumer.stdout is not None
    report = consumer.stdout.read()
    _, status, used = os.wait4(consumer.pid, 0)
    consumer.returncode = os.waitstatus_to_exitcode(status)
    if consumer.returncode:
        raise subprocess.CalledProcessError(consumer.returncode, consumer.args)
    return json.loads(report), used


def _at_a_quarter_each(processes: int) -> float:
    """Records a second of so many processes that run a quarter of the time each, on a core of their own."""
    with _stores() as state, canned("plain", SHARED_RECORDS) as endpoint:
        running = [
            subprocess.Popen(
                _command(1), env=_environment(state, endpoint), stdout=subprocess.PIPE, text=True,
                stderr=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {1})  # noqa: PLW1509 - no thread runs yet
            )
            for _ in range(processes)
        ]  # fmt: skip
        with quarter_each([process.pid for process in running]):
            reports = [json.loads(process.communicate()[0]) for process in running]
    landed, seconds = sum(report["landed"] for report in reports), max(report["seconds"] for report in reports)
    expected = SHARED_RECORDS // SHARDS * SHARDS
    assert landed == expected, f"landed {landed} of {expected}: no figure from a path that loses"
    print(f"plain, {processes} process(es) at a quarter of a core: {seconds:.1f} s", file=sys.stderr)
    return float(landed / seconds)


def _command(workers: int) -> list[str]:
    words = ["consume", "--region", REGION, "--until-idle", "--workers", str(workers), "--json"]
    return [sys.executable, "-m", "cli.main", *words]


def _environment(state: Path, endpoint: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLAKE_")}
    return {**inherited, **stack.region_environment(state, REGION), "FLEETLAKE_KINESIS_ENDPOINT": endpoint}
