"""The whole load on one machine at once: stream, consumer, live state, merges, derivation and marts, side by side.

The size is a setting: FLEETLAKE_BENCH_WHOLE_DEVICES (400,000), _RECORDS_S (40,000) and _MINUTES (10). Each device has a
record in turn, KPL-aggregated by 50. Merges take running hours, so that everything works from the first minute on.
FLEETLAKE_PROCESSING_NICENESS says how far processing gives way. The load begins once the consumer has all shards.
Memory is that of this process's children and of the stack; pages that processes share are divided among them.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil

import stack
from bench.one_region import REGION, stack_of_one_region
from bench.rows import Row
from bench.team import quantile
from bench.whole_load import Load, Probes, put_load
from contracts.settings import RegionSettings
from orchestration.local.priority import VARIABLE
from tests.builders.consumer_process import wait_until
from tests.builders.stack import processes_of

DEVICES = int(os.environ.get("FLEETLAKE_BENCH_WHOLE_DEVICES", "400000"))
RECORDS_S = int(os.environ.get("FLEETLAKE_BENCH_WHOLE_RECORDS_S", "40000"))
MINUTES = float(os.environ.get("FLEETLAKE_BENCH_WHOLE_MINUTES", "10"))
SHARDS = 8
_DRAIN_WITHIN_S = 900.0
_WEIGH_EVERY = 5
"""Looks; to add up the pages of gigabytes takes a tenth of a second."""
_MIB = 2**20


class Outcome(msgspec.Struct, kw_only=True):
    """What a run showed."""

    put: int = 0
    load_s: float = 0.0
    """How long the load was put."""
    latencies_s: list[float] = []
    lag_max_s: float = 0.0
    peak_mib: float = 0.0
    history: int = 0
    fresh_after_s: float = 0.0
    rounds: int = 0
    """Times that everything due was processed while records came."""
    differences: list[str] = []


def run() -> list[Row]:
    """Raises AssertionError where a stage did not end, or where reconciliation finds a difference."""
    found = whole(Load(devices=DEVICES, records_s=RECORDS_S, seconds=60 * MINUTES))
    assert not found.differences, found.differences
    return rows(found)


def rows(found: Outcome) -> list[Row]:
    """A run's figures."""
    latency_ms = 1_000 * quantile(found.latencies_s, 0.99)
    return [
        Row(id="put", what="records put", value=found.put, unit="records"),
        Row(id="records_s", what="rate at which they were put", value=found.put / found.load_s, unit="records/s"),
        Row(id="put_to_redis_p50_ms", what="put to readable in Redis, median",
            value=1_000 * quantile(found.latencies_s, 0.5), unit="ms"),
        Row(id="put_to_redis_p99_ms", what="put to readable in Redis, p99, all at work", value=latency_ms, unit="ms",
            peer="goal", peer_value=2_000, ratio=latency_ms / 2_000),
        Row(id="lag_max_s", what="consumer's lag, the longest", value=found.lag_max_s, unit="s"),
        Row(id="merged_rows", what="rows of history", value=found.history, unit="rows"),
        Row(id="marts_fresh_after_s", what="last record to marts that have all", value=found.fresh_after_s, unit="s",
            peer="goal", peer_value=900, ratio=found.fresh_after_s / 900),
        Row(id="peak_mib", what="memory of everything at most", value=found.peak_mib, unit="MiB", peer="goal",
            peer_value=12_288, ratio=found.peak_mib / 12_288),
        Row(id="rounds", what="times that all due was processed meanwhile", value=found.rounds, unit="rounds"),
        Row(id="missing", what="records missing", value=max(0, found.put - found.history), unit="records"),
        Row(id="doubled", what="records there twice", value=max(0, found.history - found.put), unit="records"),
    ]  # fmt: skip


def whole(load: Load) -> Outcome:
    """Run everything at once, then let it drain and reconcile it."""
    found = Outcome()
    with stack_of_one_region(SHARDS, buckets=4) as state:
        environment = _environment(state)
        settings = RegionSettings.load(stack.region_environment(state, REGION, {}))
        consumer = _command(["consume"], environment, state / "consumer.log")
        ending = threading.Event()
        watched = [
            threading.Thread(target=_watch, args=(state, found, ending)),
            threading.Thread(target=_process_again_and_again, args=(environment, found, ending)),
        ]
        try:
            _has_all_shards(state / "consumer.log")
            with Probes(settings) as probes:
                for thread in watched:
                    thread.start()
                first_s = time.monotonic()
                found.put = put_load(settings, load, probes)
                last_s = time.monotonic()
                found.load_s = last_s - first_s
                found.latencies_s = probes.all_seen(_DRAIN_WITHIN_S)
            ending.set()
            watched[1].join()
            _end(consumer)
            found.put += probes.sent
            _json(["consume", "--until-idle"], environment)
            _json(["process"], environment)
            found.fresh_after_s = time.monotonic() - last_s
            _proven(_json(["reconcile", "--whole"], environment), found)
        finally:
            ending.set()
            for thread in watched:
                thread.join()
            if consumer.poll() is None:
                consumer.kill()
    return found


def _environment(state: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLAKE_") or name == VARIABLE}
    kept |= {"FLEETLAKE_STATE": str(state), "FLEETLAKE_MERGE_OPEN_HOURS": "true", "FLEETLAKE_METRICS_PORT": "0"}
    return kept


def _command(words: list[str], environment: Mapping[str, str], log: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "cli.main", *words, "--region", REGION, "--json"]
    with log.open("ab") as out:
        return subprocess.Popen(command, env=dict(environment), stdout=subprocess.DEVNULL, stderr=out)


def _json(words: list[str], environment: Mapping[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "cli.main", *words, "--region", REGION, "--json"]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    assert done.stdout.strip(), f"{words}: {done.stderr[-2000:]}"
    document: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return document


def _has_all_shards(log: Path) -> None:
    wait_until(
        lambda: log.read_bytes().count(b'"lease.taken"') >= SHARDS, 60.0, lambda: f"no leases: {log.read_text()}"
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    assert process.wait(120) == 0, process.returncode


def _process_again_and_again(environment: Mapping[str, str], found: Outcome, ending: threading.Event) -> None:
    """What the sensors would start, as long as records come."""
    while not ending.wait(2.0):
        if _json(["process"], environment).get("runs"):
            found.rounds += 1


def _watch(state: Path, found: Outcome, ending: threading.Event) -> None:
    """The consumer's lag by the second, and now and then the memory of everything."""
    looks = 0
    while not ending.wait(1.0):
        found.lag_max_s = max(found.lag_max_s, _lag_s(state))
        if looks % _WEIGH_EVERY == 0:
            found.peak_mib = max(found.peak_mib, _bytes_used(state) / _MIB)
        looks += 1


def _bytes_used(state: Path) -> int:
    family = set[psutil.Process]()
    for processes in (lambda: psutil.Process().children(recursive=True), lambda: processes_of(state)):
        with suppress(psutil.Error, FileNotFoundError):
            family |= set(processes())
    return sum(_share(process.pid) for process in family)


def _share(pid: int) -> int:
    """Bytes of a process's memory, what it shares in parts: Pss of proc(5)."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _lag_s(state: Path) -> float:
    """The consumer's longest lag, as `fleetlake top` reads it from its pages."""
    lags = [0.0]
    for line in (state / "consumer.log").read_bytes().splitlines():
        if b'"worker.started"' in line:
            lags.append(_lag_of(json.loads(line)["metrics"]))
    return max(lags)


def _lag_of(url: str) -> float:
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0.0
    found = [float(line.rpartition(" ")[2]) for line in lines if line.startswith("fleetlake_ingest_lag_ms{")]
    return max(found, default=0.0) / 1_000


def _proven(document: Mapping[str, Any], found: Outcome) -> None:
    found.history = int(document["stages"]["history"])
    found.differences = [str(one) for one in document["differences"]]
