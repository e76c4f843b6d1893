"""Every error code of every call, answered to the real clients: what waits, what asks otherwise, what stops."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from contracts.errors import FleetlakeError, LeaseLost, ObjectConflict, SinkUnavailable
from contracts.ledger import LeaseRow
from contracts.settings import AwsService
from ingest.kinesis import IteratorExpired, ShardGone, Start, StreamUnavailable, Throttled
from ingest.kinesis.fan_out import FanOut, SubscriptionInUse
from ingest.kinesis.http import HttpStream
from ingest.landing import S3Store
from ingest.leases.dynamodb import DynamoLeases
from ingest.replay import writer
from ingest.replay.writer import KinesisWriter, Outgoing
from ingest.runtime.aws_errors import (
    CALLS,
    DYNAMODB,
    KINESIS,
    REASON,
    S3,
    UNKNOWN,
    Meaning,
    codes_of,
    markdown,
    verdict,
)
from ingest.runtime.clock import SystemClock
from ingest.runtime.retry import Backoff
from tests.builders.refusing_server import RefusingServer, refusing

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "consumer.md"
SHARD, REGION = "shardId-0", "eu-central-1"
LEASE = LeaseRow(shard_id=SHARD, owner="w", fence=1)
_PLACE = Start.oldest()
Call = Callable[[], Awaitable[Any]]
Wrong = list[str]

REFUSED: dict[tuple[str, str], type[Exception]] = {
    ("GetRecords", "ExpiredIteratorException"): IteratorExpired,
    ("GetRecords", "ResourceNotFoundException"): ShardGone,
    ("GetShardIterator", "ResourceNotFoundException"): ShardGone,
    ("SubscribeToShard", "ResourceNotFoundException"): ShardGone,
    ("ListShards", "ExpiredNextTokenException"): StreamUnavailable,
    ("RegisterStreamConsumer", "ResourceInUseException"): StreamUnavailable,
    ("DescribeStreamConsumer", "ResourceNotFoundException"): StreamUnavailable,
    ("TransactWriteItems", "TransactionCanceledException"): SinkUnavailable,
    ("PutObject", "PreconditionFailed"): ObjectConflict,
    ("PutObject", "412"): ObjectConflict,
    **{("GetObject", code): KeyError for code in ("NoSuchKey", "NotFound", "404")},
}
"""What a refused request ends in where the other one that the client knows is refused too; otherwise it succeeds."""


async def _raised(call: Call) -> Exception | None:
    try:
        await call()
    except Exception as error:  # noqa: BLE001 - any kind is what the test is about
        return error
    return None


def _fits(error: Exception | None, meaning: Meaning, away: type[Exception], *, worked: bool) -> bool:
    if meaning is Meaning.THROTTLED and away is StreamUnavailable:
        return isinstance(error, Throttled)
    if meaning in (Meaning.THROTTLED, Meaning.PASSING) or (meaning is Meaning.DENIED and worked):
        return isinstance(error, away)
    return isinstance(error, FleetlakeError) and not isinstance(error, away)


async def _all_codes(
    service: str,
    action: str,
    call: Call,
    server: RefusingServer,
    away: type[Exception],
    *,
    worked: bool,
    verb: str = "",
) -> Wrong:
    wrong = []
    for code, (meaning, _) in codes_of(service, action).items():
        server.codes[verb or action] = code
        error = await _raised(call)
        if meaning is Meaning.REFUSED:
            expected = REFUSED.get((action, code))
            fits = error is None if expected is None else type(error) is expected
        else:
            fits = _fits(error, meaning, away, worked=worked)
        if not fits:
            wrong.append(f"{action} {code} ({meaning}, {worked=}): {error!r}")
    server.codes.pop(verb or action)
    return wrong


def _kinesis_calls(access: AwsService) -> tuple[dict[str, Call], list[Any]]:
    stream, pushed = HttpStream("double", REGION, access), FanOut("double", REGION, access, "tests")
    calls: dict[str, Call] = {
        "GetRecords": lambda: stream.get_records("iterator"),
        "GetShardIterator": lambda: stream.get_shard_iterator(SHARD, _PLACE),
        "ListShards": stream.list_shards,
        "DescribeStreamSummary": stream.describe,
    }
    calls |= dict.fromkeys(
        ("SubscribeToShard", "RegisterStreamConsumer", "DescribeStreamConsumer"),
        lambda: pushed.subscribe(SHARD, _PLACE),
    )
    return calls, [stream, pushed]


@pytest.mark.parametrize("action", [call for call in CALLS[KINESIS] if call != "PutRecords"])
def test_kinesis_answers_each_error_code(action: str) -> None:
    async def story() -> Wrong:
        server = RefusingServer()
        async with refusing(server) as access:
            calls, clients = _kinesis_calls(access)
            consumers = {"RegisterStreamConsumer": "ResourceInUseException"}
            consumers["DescribeStreamConsumer"] = "ResourceNotFoundException"
            if action in consumers:  # the other of the two does not help
                server.codes |= consumers
            wrong = await _all_codes(KINESIS, action, calls[action], server, StreamUnavailable, worked=False)
            if action not in consumers:  # these are asked once
                await calls[action]()
                wrong += await _all_codes(KINESIS, action, calls[action], server, StreamUnavailable, worked=True)
            await asyncio.gather(*(client.close() for client in clients))
        return wrong

    assert asyncio.run(story()) == []


def test_a_busy_subscription_is_told_from_a_throttled_one() -> None:
    async def story() -> tuple[Any, Any]:
        server = RefusingServer()
        async with refusing(server) as access:
            calls, clients = _kinesis_calls(access)
            server.codes["SubscribeToShard"] = "ResourceInUseException"
            in_use = await _raised(calls["SubscribeToShard"])
            server.codes["SubscribeToShard"] = "LimitExceededException"
            throttled = await _raised(calls["SubscribeToShard"])
            await asyncio.gather(*(client.close() for client in clients))
        return in_use, throttled

    in_use, throttled = asyncio.run(story())
    assert isinstance(in_use, SubscriptionInUse)
    assert isinstance(throttled, Throttled)
    assert throttled.passing


def test_a_stream_with_twenty_consumers_says_what_to_do_and_one_that_knows_ours_is_read() -> None:
    async def story() -> None:
        server = RefusingServer()
        server.codes["RegisterStreamConsumer"] = "LimitExceededException"
        async with refusing(server) as access:
            pushed = FanOut("double", REGION, access, "tests", clock=SystemClock())
            server.codes["DescribeStreamConsumer"] = "ResourceNotFoundException"
            with pytest.raises(FleetlakeError, match="at most 20: deregister") as full:
                await pushed.subscribe(SHARD, _PLACE)
            assert not isinstance(full.value, StreamUnavailable)
            del server.codes["DescribeStreamConsumer"]
            (await pushed.subscribe(SHARD, _PLACE)).close()
            await pushed.close()

    asyncio.run(story())


def test_putting_records_answers_each_error_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_PAUSES", Backoff(0.0, 0.0))
    wrong: Wrong = []

    async def story() -> None:
        server = RefusingServer()
        async with refusing(server) as access:
            to = KinesisWriter("double", REGION, access)
            for code, (meaning, _) in codes_of(KINESIS, "PutRecords").items():
                server.codes["PutRecords"] = code
                error = await _raised(lambda: to.put([Outgoing("key", 1, b"data")]))
                if not (error is None if meaning is Meaning.REFUSED else isinstance(error, SinkUnavailable)):
                    wrong.append(f"{code} ({meaning}): {error!r}")
            await to.close()

    asyncio.run(story())
    assert wrong == []


def _dynamodb_calls(leases: DynamoLeases) -> dict[str, Call]:
    return {
        "TransactWriteItems": lambda: leases.commit(LEASE, None),
        "Query": lambda: leases.entries(SHARD),
        "Scan": leases.rows,
        "GetItem": lambda: leases.find(SHARD, "1"),
        "PutItem": lambda: leases.insert([LEASE]),
        "UpdateItem": lambda: leases.take(LEASE, "w"),
        "DeleteItem": lambda: leases.remove(LEASE),
    }


@pytest.mark.parametrize("action", CALLS[DYNAMODB])
def test_dynamodb_answers_each_error_code(action: str) -> None:
    async def story() -> Wrong:
        server = RefusingServer()
        async with refusing(server) as access:
            leases = DynamoLeases("eu", REGION, access)
            call = _dynamodb_calls(leases)[action]
            wrong = await _all_codes(DYNAMODB, action, call, server, SinkUnavailable, worked=False)
            await leases.rows()
            wrong += await _all_codes(DYNAMODB, action, call, server, SinkUnavailable, worked=True)
            await leases.close()
        return wrong

    assert asyncio.run(story()) == []


def test_each_reason_of_a_cancelled_transaction_is_a_lost_lease_a_wait_or_the_end_of_the_shard() -> None:
    async def story() -> dict[str, type[Exception]]:
        server, found = RefusingServer(), {}
        server.codes["TransactWriteItems"] = "TransactionCanceledException"
        async with refusing(server) as access:
            leases = DynamoLeases("eu", REGION, access)
            await leases.rows()
            for code in codes_of(DYNAMODB, REASON):
                server.reason = code
                found[code] = type(await _raised(lambda: leases.commit(LEASE, None)))
            await leases.close()
        return found

    kinds = {
        Meaning.REFUSED: LeaseLost,
        Meaning.THROTTLED: SinkUnavailable,
        Meaning.PASSING: SinkUnavailable,
        Meaning.FATAL: FleetlakeError,
    }
    reasons = codes_of(DYNAMODB, REASON)
    assert asyncio.run(story()) == {code: kinds[found.meaning] for code, found in reasons.items()}
    assert reasons["ValidationError"].meaning is Meaning.FATAL


@pytest.mark.parametrize("action", CALLS[S3])
def test_s3_answers_each_error_code(action: str) -> None:
    async def story() -> Wrong:
        server = RefusingServer()
        async with refusing(server) as access:
            config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
            client = boto3.client("s3", config=config, **access.client_kwargs(REGION))
            store = S3Store(client, "lake-eu", attempts=1)
            calls: dict[str, tuple[str, Call]] = {
                "PutObject": ("PUT", lambda: store.put_new("key", b"bytes")),
                "GetObject": ("GET", lambda: store.get("key")),
                "ListObjectsV2": ("GET", lambda: _listed(store)),
                "DeleteObject": ("DELETE", lambda: store.delete("key")),
            }
            verb, call = calls[action]
            # A bucket that denies is an outage from the first call on: see ObjectStore.
            wrong = await _all_codes(S3, action, call, server, SinkUnavailable, worked=True, verb=verb)
            await store.close()
        return wrong

    assert asyncio.run(story()) == []


async def _listed(store: S3Store) -> list[str]:
    return [key async for key in store.list("landing/")]


def test_what_the_table_does_not_have_goes_by_its_status() -> None:
    assert verdict(KINESIS, "GetRecords", "New", 400) == UNKNOWN
    assert verdict(KINESIS, "GetRecords", "New", 503).meaning is Meaning.PASSING
    assert verdict(KINESIS, "GetRecords", "New", 429).meaning is Meaning.THROTTLED
    assert verdict(DYNAMODB, REASON, "Throttling") == UNKNOWN


def test_the_reference_prints_the_table() -> None:
    page = REFERENCE.read_text(encoding="utf-8")
    assert "\n".join(markdown()) in page, "put in what `python -m ingest.runtime.aws_errors` prints"
