"""Records of many devices at a rate, KPL-aggregated, and probes that are looked for in Redis meanwhile."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import boto3
import msgspec
import redis

from contracts.kpl import aggregate
from contracts.names import redis_latest, stream
from contracts.settings import RegionSettings

A_RECORD, A_CALL, A_SECOND = 50, 100, 10
_PUTTERS = 2
_PROBE_EVERY_S = 0.5
_LOOK_S = 0.01


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """So many devices in turn, so many records a second, for so long."""

    devices: int
    records_s: int
    seconds: float


class Probes:
    """Records of one device each, put every half second and looked for in Redis until they are there."""

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings
        self._redis: Any = redis.Redis.from_url(settings.redis_url.get_secret_value())
        self._kinesis: Any = _client(settings)
        self._sent_s: dict[str, float] = {}
        self._latencies_s: list[float] = []
        self._stopping = threading.Event()
        self.sent = 0

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=work) for work in (self._put, self._look)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def all_seen(self, within_s: float) -> list[float]:
        """Put no more, and wait until every probe is in Redis; their latencies. Raises AssertionError."""
        deadline = time.monotonic() + within_s
        self._putting = False
        while self._sent_s:
            assert time.monotonic() < deadline, f"{len(self._sent_s)} probes are not in Redis"
            time.sleep(_LOOK_S)
        return self._latencies_s

    _putting = True

    def _put(self) -> None:
        while self._putting and not self._stopping.wait(_PROBE_EVERY_S):
            probe = f"probe-{self.sent}"
            body = f'{{"device_id":"{probe}","ts":{time.time_ns() // 1_000_000},"lat":50.0,"lon":8.0}}'
            self._sent_s[probe] = time.monotonic()
            self._kinesis.put_record(
                StreamName=stream(self._settings.region), Data=body.encode(), PartitionKey=probe
            )  # fmt: skip
            self.sent += 1

    def _look(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            waiting = list(self._sent_s)
            keys = [redis_latest(self._settings.region, probe) for probe in waiting]
            found = self._redis.mget(keys) if waiting else []
            for probe, value in zip(waiting, found, strict=True):
                if value is not None:
                    self._latencies_s.append(time.monotonic() - self._sent_s.pop(probe))


def put_load(settings: RegionSettings, load: Load, probes: Probes) -> int:
    """Put the load at its rate, probes beside it; how many records were put."""
    total, a_step, began_s = round(load.records_s * load.seconds), load.records_s // A_SECOND, time.monotonic()
    clients = [_client(settings) for _ in range(_PUTTERS)]
    put = 0
    with ThreadPoolExecutor(_PUTTERS) as pool:
        while put < total:
            count = min(a_step, total - put)
            calls = list(_calls(load, put, count))
            waiting = [
                pool.submit(_put_all, clients[number % _PUTTERS], settings.region, call)
                for number, call in enumerate(calls)
            ]
            for done in waiting:
                done.result()
            put += count
            time.sleep(max(0.0, began_s + put / load.records_s - time.monotonic()))
    return put


def _calls(load: Load, first: int, count: int) -> Iterator[list[dict[str, Any]]]:
    """PutRecords calls of aggregates."""
    now_ms = time.time_ns() // 1_000_000
    packed = [
        _aggregate(load, start, min(A_RECORD, first + count - start), now_ms)
        for start in range(first, first + count, A_RECORD)
    ]
    for start in range(0, len(packed), A_CALL):
        yield packed[start : start + A_CALL]


def _aggregate(load: Load, first: int, count: int, now_ms: int) -> dict[str, Any]:
    users = [_record(number, number % load.devices, now_ms) for number in range(first, first + count)]
    return {"Data": aggregate(users), "PartitionKey": f"k{first}"}


def _record(number: int, device: int, now_ms: int) -> tuple[str, bytes]:
    """A vehicle that drives a small circle; each record has a moment of its own."""
    name = f"w{device:06d}"
    lat, lon, speed = 50 + number % 1_000 / 1e4, 8 + device % 1_000 / 1e4, 30 + number % 50
    body = (
        f'{{"device_id":"{name}","ts":{now_ms},"event_id":"{number}","lat":{lat:.4f},"lon":{lon:.4f},'
        f'"speed_kmh":{speed},"heading_deg":{number % 360},"odometer_km":{1_000 + number / 1e4:.1f},"engine_on":true}}'
    )
    return name, body.encode()


def _put_all(client: Any, region: str, records: list[dict[str, Any]]) -> None:
    while records:
        answer = client.put_records(StreamName=stream(region), Records=records)
        refused = [at for at, one in enumerate(answer["Records"]) if one.get("ErrorCode")]
        records = [records[at] for at in refused]


def _client(settings: RegionSettings) -> Any:
    return boto3.client("kinesis", **settings.kinesis.client_kwargs(settings.row.aws_region))
