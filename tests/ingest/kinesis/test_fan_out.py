"""Enhanced fan-out against a server that speaks its event stream: every record once, whatever happens to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
from aiohttp import web

from contracts.errors import FleetlakeError
from ingest.batch import KinesisRecord
from ingest.kinesis import Records, ShardGone, Start
from ingest.kinesis.fan_out import FanOut
from ingest.kinesis.memory import MemoryStream
from ingest.kinesis.subscriber import ShardSubscriber
from ingest.runtime.clock import SystemClock
from tests.builders.consumer import until
from tests.builders.fan_out_server import FanOutServer, Timing, failure, frame
from tests.builders.kinesis_server import access, now_ms, refusal, served

SHARD = "shardId-000000000000"
QUICK = {"apart_s": 0.0, "heartbeat_s": 0.02}


class Impatient(SystemClock):
    """Waits a thousandth of what it is asked to."""

    async def sleep(self, seconds: float) -> None:
        """Wait briefly."""
        await asyncio.sleep(seconds / 1000)


@asynccontextmanager
async def _fan_out(server: FanOutServer, clock: SystemClock | None = None) -> AsyncIterator[FanOut]:
    async with served(server) as url:
        client = FanOut("double", "eu-central-1", access(url), "tests", clock=clock or Impatient())
        try:
            yield client
        finally:
            await client.close()


def _server(records: int = 50, *, ended: bool = True, **timing: Any) -> FanOutServer:
    double = MemoryStream(1, now_ms=now_ms)
    for number in range(records):
        double.put("key", f"{number}".encode())
    if ended:
        double.split(SHARD)
    return FanOutServer(double, Timing(**{**QUICK, "events": 7, **timing}))


async def _read(server: FanOutServer, shard_id: str = SHARD) -> tuple[list[str], Records]:
    """All data of the shard, to its end, and the last answer."""
    found: list[str] = []
    async with _fan_out(server) as client:
        reader = ShardSubscriber(client, shard_id, Start.oldest())
        while True:
            answer = await reader.read()
            found += [record.data.decode() for record in answer.records]
            if answer.next_iterator is None:
                return found, answer


ALL = [f"{number}" for number in range(50)]


def test_a_shard_is_read_to_its_end_and_names_its_children() -> None:
    server = _server()
    found, last = asyncio.run(_read(server))
    assert found == ALL
    assert [child.parents for child in last.child_shards] == [(SHARD,), (SHARD,)]
    assert server.calls.count("SubscribeToShard") == 1
    assert server.calls.count("RegisterStreamConsumer") == 1


def test_an_expired_subscription_is_followed_by_one_that_goes_on_after_it() -> None:
    server = _server(40, ended=False, expires_s=0.1)

    async def story() -> list[KinesisRecord]:
        found: list[KinesisRecord] = []
        async with _fan_out(server) as client:
            reader = ShardSubscriber(client, SHARD, Start.oldest())
            while len(server.positions) < 4:
                found += (await reader.read()).records
            server.stream.put("key", b"40")
            while len(found) < 41:
                found += (await reader.read()).records
        return found

    found = asyncio.run(story())
    assert [record.data.decode() for record in found] == ALL[:41]
    assert server.positions[0] == {"Type": "TRIM_HORIZON"}
    again = {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": found[39].sequence_number}
    assert server.positions[1:4] == [again] * 3


def _each_nth(spoilt: Callable[[bytes], bytes | None], *, step: int = 3) -> Callable[[bytes], bytes | None]:
    numbers = count()
    return lambda data: spoilt(data) if next(numbers) % step == 1 else data


def _flipped(data: bytes) -> bytes:
    """One bit of the payload is wrong: the message's checksum tells."""
    return data[:-20] + bytes([data[-20] ^ 4]) + data[-19:]


def _long(data: bytes) -> bytes:
    """The length is wrong: the prelude's checksum tells."""
    return bytes([data[0] | 1]) + data[1:]


FAULTS: dict[str, Callable[[bytes], bytes | None]] = {
    "half a message, then gone": lambda _: None,
    "a flipped bit": _flipped,
    "a wrong length": _long,
    "an exception": lambda _: failure("InternalFailureException", "sorry"),
    "taken over": lambda _: failure("ResourceInUseException", "another"),
    "throttled": lambda _: failure("LimitExceededException", "slower"),
    "a key is disabled": lambda _: failure("KMSDisabledException", "by its owner"),
    "a key's policy is changed": lambda _: failure("KMSAccessDeniedException", "not now"),
    "a key is being deleted": lambda _: failure("KMSInvalidStateException", "pending deletion"),
    "a key is gone": lambda _: failure("KMSNotFoundException", "no such key"),
    "KMS throttles": lambda _: failure("KMSThrottlingException", "slower"),
    "not found": lambda _: failure("ResourceNotFoundException", "no such consumer"),
    "an error": lambda _: frame({":message-type": "error", ":error-code": "500", ":error-message": "oh"}, b""),
    "not JSON": lambda _: frame({":message-type": "event", ":event-type": "SubscribeToShardEvent"}, b'{"Rec'),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_record_is_read_once_through(fault: str) -> None:
    server = _server()
    server.spoil_frame = _each_nth(FAULTS[fault])
    found, _ = asyncio.run(_read(server))
    assert found == ALL
    assert len(server.positions) >= 3


def test_messages_of_no_known_type_are_passed_over() -> None:
    server = _server()
    server.spoil_frame = lambda data: frame({":message-type": "event", ":event-type": "New"}, b"?") + data
    assert asyncio.run(_read(server))[0] == ALL


def test_a_subscription_in_use_is_asked_for_again_until_it_is_free() -> None:
    server = _server(expires_s=30, apart_s=0.2)

    async def story() -> list[str]:
        async with _fan_out(server) as other:
            first = ShardSubscriber(other, SHARD, Start.oldest())
            await first.read()
            return (await _read(server))[0]

    assert asyncio.run(story()) == ALL
    assert server.calls.count("SubscribeToShard") > len(server.positions) == 2


def test_a_subscription_refused_for_passing_reasons_is_asked_for_again() -> None:
    server = _server()
    left = [refusal("LimitExceededException"), refusal("InternalFailure", status=500), web.Response(status=503)]

    async def spoil(_: web.Request, action: str) -> Any:
        return left.pop() if action == "SubscribeToShard" and left else None

    server.spoil = spoil
    assert asyncio.run(_read(server))[0] == ALL
    assert left == []


def test_access_denied_is_raised() -> None:
    server = _server()

    async def spoil(_: web.Request, action: str) -> Any:
        return refusal("AccessDeniedException", "not yours") if action == "SubscribeToShard" else None

    server.spoil = spoil
    with pytest.raises(FleetlakeError, match="AccessDenied"):
        asyncio.run(_read(server))


def test_a_consumer_that_was_deregistered_is_registered_anew() -> None:
    server = _server(expires_s=0.1, ended=False)

    async def story() -> list[str]:
        found: list[str] = []
        async with _fan_out(server) as client:
            reader = ShardSubscriber(client, SHARD, Start.oldest())
            while len(found) < 50:
                found += [record.data.decode() for record in (await reader.read()).records]
            server.consumers.clear()
            while len(server.positions) < 2:
                found += [record.data.decode() for record in (await reader.read()).records]
        return found

    assert asyncio.run(story()) == ALL
    assert server.calls.count("RegisterStreamConsumer") == 2


def test_a_shard_that_is_gone_is_told_from_a_consumer_that_is() -> None:
    with pytest.raises(ShardGone):
        asyncio.run(_read(_server(), "shardId-000000000099"))


def test_a_read_that_is_cancelled_loses_nothing() -> None:
    server = _server(0, ended=False, heartbeat_s=100)

    async def story() -> list[bytes]:
        async with _fan_out(server) as client:
            reader = ShardSubscriber(client, SHARD, Start.oldest())
            await reader.read()
            found, cancelled = [], 0
            for number in range(20):
                reading = asyncio.create_task(reader.read())
                await asyncio.sleep(0)
                reading.cancel()
                await asyncio.wait([reading])
                cancelled += reading.cancelled()
                # What was put before may have come already.
                found += [] if reading.cancelled() else [record.data for record in reading.result().records]
                server.stream.put("key", f"{number}".encode())
            assert cancelled
            while len(found) < 20:
                found += [record.data for record in (await reader.read()).records]
            return found

    assert asyncio.run(story()) == [f"{number}".encode() for number in range(20)]
    assert len(server.positions) == 1


def test_an_answer_was_sent_between_the_two_times_that_it_tells() -> None:
    server = _server(0, ended=False)
    sent_ms: list[int] = []

    def noting(data: bytes) -> bytes:
        sent_ms.append(now_ms())
        return data

    async def story() -> list[Records]:
        server.spoil_frame = noting
        told = []
        async with _fan_out(server, SystemClock()) as client:
            reader = ShardSubscriber(client, SHARD, Start.oldest())
            for _ in range(5):
                told.append(await reader.read())
                ahead = len(sent_ms) + 3
                await until(lambda ahead=ahead: len(sent_ms) >= ahead)  # events pile up in the connection meanwhile
        return told

    told = asyncio.run(story())
    assert len(sent_ms) > len(told) == 5
    wrong = [
        one for one, sent in zip(told, sent_ms, strict=False) if not one.response_ms <= sent <= one.latest_ms + 1_000
    ]
    assert wrong == []
    assert all(0 <= one.late_ms <= 300_000 for one in told)
