"""Enhanced fan-out over HTTP/2, as AWS speaks it: every record once, bounded memory, through a proxy, and refusals."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from ingest.kinesis import Start, StreamUnavailable, Throttled
from ingest.kinesis.fan_out import FanOut
from ingest.kinesis.memory import MemoryStream
from ingest.kinesis.subscriber import ShardSubscriber
from tests.builders.fan_out_server import FanOutServer, Timing
from tests.builders.http2_server import Http2Front, http2_in_front
from tests.builders.kinesis_server import HOST, access, now_ms, refusal, served

SHARD = "shardId-000000000000"
MIB = 1024 * 1024
Story = Callable[[FanOut, FanOutServer, Http2Front], Awaitable[Any]]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a story on a fan-out of a server that speaks HTTP/2 over TLS."""

    def run(story: Story, records: int = 50, *, size: int = 1, events: int = 7, **front_of: Any) -> Any:
        async def whole() -> Any:
            double = MemoryStream(1, now_ms=now_ms)
            for number in range(records):
                double.put("key", f"{number:04}".encode() * size)
            double.split(SHARD)
            server = FanOutServer(double, Timing(apart_s=0.0, heartbeat_s=0.02, events=events))
            async with AsyncExitStack() as stack:
                front = Http2Front(await stack.enter_async_context(served(server)))
                url, trusted = await stack.enter_async_context(http2_in_front(front, tmp_path, **front_of))
                monkeypatch.setenv("AWS_CA_BUNDLE", str(trusted))
                client = FanOut("double", "eu-central-1", access(url), "tests")
                try:
                    return await story(client, server, front)
                finally:
                    await client.close()

        return asyncio.run(whole())

    return run


async def _all(client: FanOut) -> list[str]:
    return await _rest(ShardSubscriber(client, SHARD, Start.oldest()))


async def _rest(reader: ShardSubscriber) -> list[str]:
    found: list[str] = []
    while True:
        answer = await reader.read()
        found += [record.data.decode()[:4] for record in answer.records]
        if answer.next_iterator is None:
            return found


ALL = [f"{number:04}" for number in range(50)]


def test_a_shard_is_read_to_its_end_over_http2(told: Any) -> None:
    async def story(client: FanOut, server: FanOutServer, front: Http2Front) -> tuple[list[str], int]:
        return await _all(client), front.requests

    assert told(story) == (ALL, 1)


def test_large_events_come_whole_and_a_reader_that_stops_is_not_sent_more_than_the_window(told: Any) -> None:
    async def story(client: FanOut, server: FanOutServer, front: Http2Front) -> tuple[list[str], int]:
        reader = ShardSubscriber(client, SHARD, Start.oldest())
        first = [record.data.decode()[:4] for record in (await reader.read()).records]
        sent = -1
        while sent != front.sent_bytes:
            sent = front.sent_bytes
            await asyncio.sleep(0.2)
        return first + await _rest(reader), sent

    found, sent = told(story, size=50_000, events=2)
    assert found == ALL
    assert 0 < sent < 4 * MIB, "of some 14 MB"


def test_a_server_without_http2_is_asked_over_http1(told: Any) -> None:
    async def story(client: FanOut, server: FanOutServer, front: Http2Front) -> tuple[list[str], int]:
        return await _all(client), front.requests

    assert told(story, alpn=("http/1.1",)) == (ALL, 0)


def test_a_refusal_over_http2_means_what_it_means_over_http1_and_a_broken_stream_is_asked_for_again(told: Any) -> None:
    async def story(client: FanOut, server: FanOutServer, front: Http2Front) -> list[str]:
        answers = [refusal("LimitExceededException"), refusal("InternalFailure", status=500)]

        async def spoil(_: Any, action: str) -> Any:
            return answers.pop(0) if action == "SubscribeToShard" and answers else None

        server.spoil = spoil
        with pytest.raises(Throttled):
            await client.subscribe(SHARD, Start.oldest())
        with pytest.raises(StreamUnavailable, match="InternalFailure"):
            await client.subscribe(SHARD, Start.oldest())
        broken = iter([False, True])
        server.spoil_frame = lambda data: None if next(broken, False) else data
        return await _all(client)

    assert told(story) == ALL


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 Connection established\r\n\r\n", b"HTTP/1.1 403 Forbidden\r\n\r\n"])
def test_a_subscription_goes_through_the_proxy_of_the_environment(
    told: Any, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(client: FanOut, server: FanOutServer, front: Http2Front) -> tuple[Any, list[bytes]]:
        asked: list[bytes] = []

        async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            asked.append(head.splitlines()[0])
            writer.write(answer)
            if b" 200 " in answer:
                host, _, port = head.split(b" ")[1].partition(b":")
                upstream, towards = await asyncio.open_connection(host.decode(), int(port))
                await asyncio.gather(_piped(reader, towards), _piped(upstream, writer))
            writer.close()

        async with await asyncio.start_server(proxy, HOST, 0) as listening:
            monkeypatch.setenv("no_proxy", "")
            monkeypatch.setenv("https_proxy", f"http://user:pass@{HOST}:{listening.sockets[0].getsockname()[1]}")
            url = client._service.access.url
            through = FanOut("double", "eu-central-1", access(url), "tests")
            try:
                return await _all(through) if b" 200 " in answer else await _refused(through), asked
            finally:
                await through.close()

    found, asked = told(story)
    assert found == (ALL if b" 200 " in answer else "StreamUnavailable")
    assert asked
    assert all(line.startswith(b"CONNECT 127.0.0.1:") for line in asked)


async def _refused(client: FanOut) -> str:
    with pytest.raises(StreamUnavailable) as raised:
        await client.subscribe(SHARD, Start.oldest())
    return type(raised.value).__name__


async def _piped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
    writer.close()
