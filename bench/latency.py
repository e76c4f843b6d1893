"""From put to readable in Redis, on the embedded Kinesis at half of what it and one consumer can carry.

FLEETLAKE_BENCH_LATENCY_S (30) is how long. The ceiling is measured first, in the same run: producers put as fast as
they are answered, and what the consumer reads meanwhile counts. A latency is that of a probe, a device of its own put
as the last record of a request: from before the request is sent until Redis gives the device's newest record.
"""

import os
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any

import boto3
import redis

import stack
from bench.one_region import REGION, stack_of_one_region
from bench.payloads import plain
from bench.rows import Row
from bench.team import Member, quantile
from contracts.names import redis_latest, stream
from contracts.settings import RegionSettings

SHARDS = 8
_A_PUT = 250
_PUTTERS = 3
_CEILING_S = 10.0
_READ = re.compile(r"^fleetlake_ingest_user_records_total\{[^}]*\} (\S+)$", re.MULTILINE)
_LOOK_S = 0.002


def run() -> list[Row]:
    """Ceiling, rate used, and latencies; raises AssertionError where a probe never became readable."""
    seconds = float(os.environ.get("FLEETLAKE_BENCH_LATENCY_S", "30"))
    with stack_of_one_region(SHARDS) as state:
        environment = stack.region_environment(state, REGION, {})
        settings = RegionSettings.load(environment)
        consumer = Member("m0", environment, shard_reads_s=0, shard_mb_s=0)
        try:
            consumer.wait_for("lease.taken", SHARDS)
            ceiling = _ceiling(settings, consumer)
            _caught_up(consumer)
            rate, latencies_s = _paced(settings, ceiling / 2, seconds)
        finally:
            consumer.kill()
    figures = [("p50", 0.5), ("p99", 0.99), ("max", 1.0)]
    return [
        Row(what="ceiling: put and read at once", value=ceiling, unit="records/s"),
        Row(what="rate of the measurement", value=rate, unit="records/s", peer="ceiling", peer_value=ceiling,
            ratio=rate / ceiling),
        Row(what="probes", value=len(latencies_s), unit="records"),
        *(Row(what=f"put to readable in Redis, {name}", value=1000 * quantile(latencies_s, share), unit="ms")
          for name, share in figures),
    ]  # fmt: skip


class _Putter:
    """Puts requests of prepared records, each with a probe as its last."""

    def __init__(self, settings: RegionSettings) -> None:
        self._client = boto3.client("kinesis", **settings.kinesis.client_kwargs(settings.row.aws_region))
        self._name = stream(settings.region)
        now_ms = time.time_ns() // 1_000_000
        made = plain(0, 4_000, now_ms)
        self._filling = [{"Data": one.data, "PartitionKey": f"{one.key}/{n}"} for n, one in enumerate(made)]

    def put(self, number: int, probe: str) -> int:
        """Put a request; how many records it had."""
        start = number * _A_PUT % len(self._filling)
        body = f'{{"device_id":"{probe}","ts":{time.time_ns() // 1_000_000},"lat":50.0,"lon":8.0}}'
        records = [*self._filling[start : start + _A_PUT - 1], {"Data": body.encode(), "PartitionKey": probe}]
        answer = self._client.put_records(StreamName=self._name, Records=records)
        assert answer["FailedRecordCount"] == 0
        return len(records)


def _ceiling(settings: RegionSettings, consumer: Member) -> float:
    until_s = time.monotonic() + _CEILING_S
    numbers = count()

    def flood() -> None:
        putter = _Putter(settings)
        while time.monotonic() < until_s:
            number = next(numbers)
            putter.put(number, f"flood-{number}")

    read, since_s = _read(consumer), time.monotonic()
    with ThreadPoolExecutor(_PUTTERS) as pool:
        for done in [pool.submit(flood) for _ in range(_PUTTERS)]:
            done.result()
    return (_read(consumer) - read) / (time.monotonic() - since_s)


def _paced(settings: RegionSettings, records_per_s: float, seconds: float) -> tuple[float, list[float]]:
    """The rate that came about, and the probes' latencies in seconds."""
    watch, started_s = _Watch(settings), time.monotonic()
    numbers = count()
    last = int(seconds * records_per_s / _A_PUT)

    def pace() -> int:
        putter, put = _Putter(settings), 0
        while (number := next(numbers)) < last:
            time.sleep(max(0.0, started_s + number * _A_PUT / records_per_s - time.monotonic()))
            watch.sent(f"probe-{number}")
            put += putter.put(number, f"probe-{number}")
        return put

    with watch.running(), ThreadPoolExecutor(_PUTTERS) as pool:
        put = sum(done.result() for done in [pool.submit(pace) for _ in range(_PUTTERS)])
        rate = put / (time.monotonic() - started_s)
        watch.all_seen(within_s=30)
    return rate, watch.latencies_s


class _Watch:
    """Polls Redis for probes continuously."""

    def __init__(self, settings: RegionSettings) -> None:
        self.latencies_s: list[float] = []
        self._redis: Any = redis.Redis.from_url(settings.redis_url.get_secret_value())
        self._region = settings.region
        self._sent_s: dict[str, float] = {}
        self._stopping = threading.Event()

    def sent(self, probe: str) -> None:
        """A probe is about to be put."""
        self._sent_s[probe] = time.monotonic()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look, in a thread."""
        thread = threading.Thread(target=self._look)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join()

    def all_seen(self, within_s: float) -> None:
        """Wait until none is missing."""
        deadline = time.monotonic() + within_s
        while self._sent_s:
            assert time.monotonic() < deadline, f"{len(self._sent_s)} probes are not in Redis"
            time.sleep(_LOOK_S)

    def _look(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            waiting = list(self._sent_s)
            found = self._redis.mget([redis_latest(self._region, probe) for probe in waiting]) if waiting else []
            now_s = time.monotonic()
            for probe, value in zip(waiting, found, strict=True):
                if value is not None:
                    self.latencies_s.append(now_s - self._sent_s.pop(probe))


def _read(consumer: Member) -> float:
    return sum(map(float, _READ.findall(consumer.get("/metrics")[1])))


def _caught_up(consumer: Member) -> None:
    """Wait until nothing more comes."""
    read, still = -1.0, 0
    while still < 3:
        now = _read(consumer)
        still, read = (still + 1 if now == read else 0), now
        time.sleep(1.0)
