"""Ways to make a store unavailable to a running worker, and available again."""

import asyncio
import os
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import ClassVar

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import redis
from aiohttp import web

import stack
from bench.one_region import REGION, region_file
from bench.team import Aftermath
from contracts.ledger import LANDED
from contracts.names import redis_epoch, redis_latest
from contracts.settings import RegionSettings
from stack.layout import Layout
from tests.builders.stack import kill, process_of

Ground = Callable[[], AbstractContextManager[Path]]
_DISK_MIB = 400


class Fault(ABC):
    """Stores that go away. `sinks` are their names in metrics and health."""

    sinks: ClassVar[tuple[str, ...]]

    def __init__(self, state: Path) -> None:
        self.state = state

    @classmethod
    def ground(cls, usual: Ground) -> AbstractContextManager[Path]:
        """The stack to do it on: its state folder."""
        return usual()

    @asynccontextmanager
    async def prepared(self) -> AsyncIterator[dict[str, object]]:
        """Make what it takes, and let go of it at the end: what a worker has to be told so that it can be done."""
        yield {}

    @abstractmethod
    async def begin(self) -> None:
        """Take the store away."""

    async def end(self) -> None:
        """Give it back."""
        await asyncio.to_thread(stack.up, self.state)

    def devices(self, aftermath: Aftermath, region: str) -> tuple[int, int]:
        """How many devices landed, and how many of these live state has."""
        _, entries = aftermath.ledger()
        objects = aftermath.objects()
        found: set[str] = set()
        for key in [one.key for entry in entries for one in entry.objects if one.kind == LANDED]:
            table = pq.read_table(pa.BufferReader(objects[key]), columns=["device_id"])
            found |= set(table["device_id"].unique().to_pylist())
        with self._redis(region) as client:
            live = client.mget([redis_latest(region, device) for device in sorted(found)])
        return len(found), sum(value is not None for value in live)

    def live_stands(self, region: str) -> bool:
        """Whether Redis itself says that live state is complete."""
        with self._redis(region) as client:
            return bool(client.exists(redis_epoch(region)))

    def _redis(self, region: str) -> redis.Redis:
        settings = RegionSettings.load(stack.region_environment(self.state, region, {}))
        return redis.Redis.from_url(settings.redis_url.get_secret_value())


class Killed(Fault):
    """The service's process dies (kill -9) and is started again."""

    service: ClassVar[str]

    async def begin(self) -> None:
        """kill -9."""
        await asyncio.to_thread(kill, process_of(self.state, self.service))


class S3Down(Killed):
    """S3 does not answer."""

    sinks, service = ("landing",), "s3"


class RedisDown(Killed):
    """Redis does not answer, and comes back with what it held."""

    sinks, service = ("live",), "redis"


class RedisLost(RedisDown):
    """Redis does not answer, and comes back empty: live state is rebuilt."""

    async def begin(self) -> None:
        """kill -9, and the disk is gone with it."""
        await super().begin()
        for file in Layout.of(self.state).data("redis").rglob("appendonly*"):
            if file.is_file():
                file.unlink()


class DynamoThrottled(Fault):
    """A proxy before DynamoDB, which answers that the table's throughput is exceeded."""

    sinks = ("leases",)

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self._throttling = False

    @asynccontextmanager
    async def prepared(self) -> AsyncIterator[dict[str, object]]:
        """The proxy runs; the worker is told of it instead of DynamoDB."""
        settings = RegionSettings.load(stack.region_environment(self.state, REGION, {}))
        self._behind = str(settings.dynamodb.endpoint)
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/{path:.*}", self._pass_on)
        runner = web.AppRunner(app, access_log=None)
        async with aiohttp.ClientSession(auto_decompress=False) as self._http:
            try:
                await runner.setup()
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                yield {"dynamodb_endpoint": f"http://127.0.0.1:{runner.addresses[0][1]}"}
            finally:
                await runner.cleanup()

    async def begin(self) -> None:
        """Throttle everything."""
        self._throttling = True

    async def end(self) -> None:
        """Throttle no more."""
        self._throttling = False

    async def _pass_on(self, request: web.Request) -> web.Response:
        if self._throttling:
            error = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"
            return web.json_response({"__type": error, "message": "The level of throughput is exceeded"}, status=400)
        # The host is signed, so it stays as the worker wrote it.
        async with self._http.post(self._behind, data=await request.read(), headers=request.headers) as answer:
            kept = {name: value for name, value in answer.headers.items() if name in ("Content-Type", "Date")}
            return web.Response(body=await answer.read(), status=answer.status, headers=kept)


class DiskFull(Fault):
    """S3's disk, a small one of its own, is filled up by something else, and cleared again."""

    sinks = ("landing",)

    @classmethod
    def ground(cls, usual: Ground) -> AbstractContextManager[Path]:
        """A stack whose S3 keeps its data on a disk of _DISK_MIB in memory; needs root."""
        return _stack_on_a_small_disk()

    async def begin(self) -> None:
        """Fill it."""
        await asyncio.to_thread(self._fill)

    async def end(self) -> None:
        """Clear it; a service that the full disk has ended is started again."""
        self._ballast.unlink()
        await super().end()

    @property
    def _ballast(self) -> Path:
        return _disk(self.state) / "ballast"

    def _fill(self) -> None:
        with self._ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 65_536)
            except OSError:
                return


class S3DownDynamoThrottled(DynamoThrottled, S3Down):
    """Both at once."""

    sinks = ("landing", "leases")

    async def begin(self) -> None:
        """Kill one, throttle the other."""
        await DynamoThrottled.begin(self)
        await S3Down.begin(self)

    async def end(self) -> None:
        """Give both back."""
        await DynamoThrottled.end(self)
        await S3Down.end(self)


def disk_can_be_filled() -> bool:
    """Whether this process may mount a small disk."""
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory(prefix="fleetlake-disk-") as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder]
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
        if mounted:
            subprocess.run(["umount", folder], check=True)
        return mounted


@contextmanager
def _stack_on_a_small_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fleetlake-bench-") as folder:
        state = Path(folder)
        disk = _disk(state)
        disk.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK_MIB}m", "none", str(disk)], check=True)
        try:
            stack.up(state, region_file(state, shards=1))
            yield state
        finally:
            stack.down(state)
            subprocess.run(["umount", str(disk)], check=True)


def _disk(state: Path) -> Path:
    return Layout.of(state).data("s3") / "data"


FAULTS: dict[str, type[Fault]] = {
    "s3": S3Down,
    "redis": RedisDown,
    "redis-lost": RedisLost,
    "dynamodb": DynamoThrottled,
    "s3+dynamodb": S3DownDynamoThrottled,
    "disk": DiskFull,
}
