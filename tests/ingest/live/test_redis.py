"""What only the real Redis shows: other people's readers, restarts, refusals, and outages."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
import redis
from redis.exceptions import NoPermissionError, OutOfMemoryError, ReadOnlyError, ResponseError

from contracts.errors import RecordsRefused, SinkUnavailable
from ingest.live import RedisLive
from ingest.live.errors import rejects_rows
from ingest.runtime.metrics import Metrics
from ingest.worker.live.isolate import write_around
from tests.builders.ingest import ARRIVAL_MS, landing_rows


def at_munich(device: str, seq: int = 0) -> dict[str, Any]:
    return {
        "device_id": device, "ts_ms": ARRIVAL_MS + seq, "arrival_ms": ARRIVAL_MS + seq, "seq": seq,
        "lat": 48.137, "lon": 11.575, "flags": 0,
    }  # fmt: skip


def test_plain_clients_read_what_the_design_names(stack: Any) -> None:
    settings, device = stack.settings("eu"), uuid4().hex

    async def scenario() -> None:
        live = RedisLive.of(settings)
        await live.write(landing_rows([at_munich(device)]))
        await live.close()

    asyncio.run(scenario())
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        assert json.loads(client.get(f"eu:latest:{device}"))["lat"] == 48.137
        near = client.geosearch("eu:geo", longitude=11.6, latitude=48.1, radius=20, unit="km")
        assert device.encode() in near
        assert client.zscore("eu:seen", device) == ARRIVAL_MS
        ((point, score),) = client.zrange(f"eu:trail:{device}", 0, -1, withscores=True)
        assert score == ARRIVAL_MS
        assert json.loads(point)["lon"] == 11.575


def test_a_server_that_lost_its_scripts_is_told_them_again(stack: Any) -> None:
    device = uuid4().hex

    async def scenario() -> None:
        live = RedisLive.of(stack.settings("eu"))
        await live.write(landing_rows([at_munich(device)]))
        live._sha = b"0" * 40
        assert (await live.write(landing_rows([at_munich(device, 1)]))).updated == 1
        await live.close()

    asyncio.run(scenario())


def test_points_that_the_server_cannot_take_are_left_out_and_the_rest_is_written(stack: Any) -> None:
    settings, devices = stack.settings("eu"), [uuid4().hex for _ in range(5)]

    async def scenario() -> None:
        live, metrics = RedisLive.of(settings), Metrics()
        rows = landing_rows([at_munich(device) for device in devices])
        with pytest.raises(RecordsRefused, match="WRONGTYPE"):
            await live.write(rows)
        await write_around(live.write, rows, metrics)
        assert 'live_refused_total{error="RecordsRefused"} 1.0' in metrics.page().decode()
        await live.close()

    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        client.set(f"eu:trail:{devices[3]}", "not a sorted set")
        asyncio.run(scenario())
        newest = [client.get(f"eu:latest:{device}") is not None for device in devices]
        trails = [client.type(f"eu:trail:{device}") for device in devices]
        client.delete(f"eu:trail:{devices[3]}")
    assert newest == [True] * 5
    assert trails == [b"zset", b"zset", b"zset", b"string", b"zset"]


def test_a_place_off_the_map_is_left_out_and_the_rest_is_written(stack: Any) -> None:
    settings, devices = stack.settings("eu"), [uuid4().hex for _ in range(5)]

    async def scenario() -> list[tuple[bool, bool]]:
        live = RedisLive.of(settings)
        off_the_map = {**at_munich(devices[3]), "lon": 500.0}
        rows = landing_rows([off_the_map if device == devices[3] else at_munich(device) for device in devices])
        await live.write(rows)
        held = [(await live.latest(one) is not None, await live.position(one) is not None) for one in devices]
        await live.close()
        return held

    assert asyncio.run(scenario()) == [(True, True)] * 3 + [(True, False), (True, True)]


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (ResponseError("invalid longitude,latitude pair 500.0,48.1 script: ab12, on @user_script:60."), True),
        (ResponseError("ERR user_script:31: bad argument script: ab12, on @user_script:31."), True),
        (ResponseError("WRONGTYPE Operation against a key script: ab12, on @user_script:57."), True),
        (ResponseError("MISCONF Errors writing to the AOF file script: ab12, on @user_script:27."), False),
        (ResponseError("NOREPLICAS Not enough good replicas to write script: ab12."), False),
        (ResponseError("unknown command"), False),
        (OutOfMemoryError("command not allowed when used memory > 'maxmemory' script: ab12."), False),
        (ReadOnlyError("You can't write against a read only replica script: ab12."), False),
        (NoPermissionError("ACL failure in script: No permissions to access a key"), False),
    ],
)
def test_what_the_server_says_of_itself_is_an_outage(error: Exception, refused: bool) -> None:
    assert rejects_rows(error) == refused


def test_a_region_cannot_write_another_regions_devices(stack: Any) -> None:
    async def scenario() -> None:
        live = RedisLive(stack.settings("us").redis_url.get_secret_value(), "eu")
        with pytest.raises(SinkUnavailable, match="refuses this user"):
            await live.write(landing_rows([at_munich("x")]))
        assert "x" not in str(await RedisLive.of(stack.settings("eu")).latest("x"))
        await live.close()

    asyncio.run(scenario())


def test_a_redis_that_is_down_is_said_to_be_and_a_later_write_succeeds(stack: Any) -> None:
    url = stack.settings("eu").redis_url.get_secret_value()
    device = uuid4().hex

    async def scenario() -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        upstream = redis.connection.parse_url(url)
        user, password = upstream["username"], upstream["password"]
        live = RedisLive(f"redis://{user}:{password}@127.0.0.1:{port}/0", "eu", timeout_s=1)
        with pytest.raises(SinkUnavailable, match=r"Redis of region eu: cannot write: ConnectionError"):
            await live.write(landing_rows([at_munich(device)]))
        server = await asyncio.start_server(_forward(upstream["host"], upstream["port"]), "127.0.0.1", port)
        assert (await live.write(landing_rows([at_munich(device)]))).updated == 1
        await live.close()
        server.close()

    asyncio.run(scenario())


def test_an_answer_cut_off_halfway_leaves_no_connection_in_use(stack: Any) -> None:
    url = stack.settings("eu").redis_url.get_secret_value()
    upstream = redis.connection.parse_url(url)
    run = uuid4().hex
    rows = landing_rows([at_munich(f"{run}-{i}") for i in range(3000)])

    async def scenario() -> None:
        direct = redis.asyncio.Redis.from_url(url)
        written = partial(direct.exists, *[f"eu:latest:{run}-{i}" for i in range(3000)])
        cut = _CutAfter(upstream["host"], upstream["port"], 900_000, once=written)
        server = await asyncio.start_server(cut, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        live = RedisLive(f"redis://{upstream['username']}:{upstream['password']}@127.0.0.1:{port}/0", "eu", timeout_s=5)
        with pytest.raises(SinkUnavailable):
            await live.write(rows)
        cut.limit = None
        await direct.aclose()
        report = await live.write(rows)
        assert report.devices == 3000
        assert 0 < report.updated < 3000, "the first write was cut off halfway; the second did the rest"
        await live.close()
        server.close()

    asyncio.run(scenario())


def _forward(host: str, port: int) -> Any:
    return _CutAfter(host, port, None)


class _CutAfter:
    """A TCP proxy that breaks a connection after so many bytes of its client, as soon as `once` finds something."""

    def __init__(
        self, host: str, port: int, limit: int | None, once: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        self._host, self._port, self.limit, self._once = host, port, limit, once

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        back = asyncio.create_task(self._pump(up_reader, writer))
        passed = 0
        while data := await reader.read(65_536):
            passed += len(data)
            if self._once and self.limit is not None and passed > self.limit:
                while not await self._once():
                    await asyncio.sleep(0.01)
                break
            up_writer.write(data)
            await up_writer.drain()
        up_writer.close()
        writer.transport.abort()
        await asyncio.gather(back, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
