"""Calls of AWS's JSON services against a server that refuses: what is signed again, what waits, what is raised."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from contracts.errors import FleetlakeError, SinkUnavailable
from contracts.settings import AwsService
from ingest.leases.dynamodb import DynamoLeases
from ingest.runtime.aws import AwsRefused, AwsUnanswered, JsonService
from tests.builders.kinesis_server import HOST, access, refusal

Answering = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def _served(answer: Answering) -> AsyncIterator[AwsService]:
    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    try:
        yield access(f"http://{HOST}:{runner.addresses[0][1]}/")
    finally:
        await runner.cleanup()


class AnotherClock:
    """A server whose clock is ahead; it lets the first `together` requests all arrive before it answers one."""

    def __init__(self, ahead: timedelta, together: int) -> None:
        self.refused = 0
        self._ahead = ahead
        self._barrier = asyncio.Barrier(together)
        self._early = together

    async def __call__(self, request: web.Request) -> web.Response:
        if self._early > 0:
            self._early -= 1
            await self._barrier.wait()
        signed = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        now = datetime.now(UTC) + self._ahead
        if abs(now - signed) < timedelta(minutes=5):
            return web.Response(body=b"{}")
        self.refused += 1
        answer = refusal("InvalidSignatureException", "Signature expired")
        answer.headers["Date"] = format_datetime(now, usegmt=True)
        return answer


def test_calls_in_flight_while_the_clock_is_found_wrong_are_all_signed_again() -> None:
    async def story() -> None:
        server = AnotherClock(timedelta(minutes=20), together=5)
        async with _served(server) as where:
            service = JsonService("dynamodb", "DynamoDB_20120810", "eu-central-1", where, version="1.0")
            answers = await asyncio.gather(*(service.call("Scan", b"{}") for _ in range(5)))
            assert [answer.body for answer in answers] == [b"{}"] * 5
            assert server.refused == 5
            await service.call("Scan", b"{}")
            assert server.refused == 5
            await service.close()

    asyncio.run(story())


def test_a_signature_refused_for_another_reason_than_the_clock_is_raised_at_once() -> None:
    async def story() -> None:
        calls: list[str] = []

        async def denying(request: web.Request) -> web.Response:
            calls.append(request.path)
            return refusal("InvalidSignatureException", "The security token is wrong")

        async with _served(denying) as where:
            service = JsonService("dynamodb", "DynamoDB_20120810", "eu-central-1", where, version="1.0")
            with pytest.raises(AwsRefused, match="InvalidSignature"):
                await service.call("Scan", b"{}")
            assert len(calls) == 1
            await service.close()

    asyncio.run(story())


REFUSALS = ("ResourceNotFoundException", "InvalidSignatureException", "SignatureDoesNotMatch", "SomethingNew")


@pytest.mark.parametrize("code", REFUSALS)
def test_a_lease_table_that_has_answered_is_away_where_it_refuses_and_before_that_it_is_misconfigured(
    code: str,
) -> None:
    async def story() -> None:
        now: list[str | None] = [code]

        async def answer(_: web.Request) -> web.Response:
            return web.Response(body=b'{"Items": []}') if now[0] is None else refusal(now[0], "no")

        async with _served(answer) as where:
            leases = DynamoLeases("eu", "eu-central-1", where)
            with pytest.raises(FleetlakeError) as first:
                await leases.rows()
            assert not isinstance(first.value, SinkUnavailable)
            now[0] = None
            assert await leases.rows() == []
            now[0] = code
            with pytest.raises(SinkUnavailable, match=code):
                await leases.rows()
            now[0] = "ValidationException"
            with pytest.raises(FleetlakeError) as malformed:
                await leases.rows()
            assert not isinstance(malformed.value, SinkUnavailable)
            await leases.close()

    asyncio.run(story())


@pytest.mark.parametrize("code", ["AccessDeniedException", "InvalidSignatureException", "KMSAccessDeniedException"])
def test_who_is_denied_what_was_allowed_before_waits(code: str) -> None:
    async def story() -> None:
        now: list[str | None] = [code]

        async def answer(_: web.Request) -> web.Response:
            return web.Response(body=b"{}") if now[0] is None else refusal(now[0], "no")

        async with _served(answer) as where:
            service = JsonService("kinesis", "Kinesis_20131202", "eu-central-1", where, version="1.1")
            with pytest.raises(AwsRefused):
                await service.call("ListShards", b"{}")
            now[0] = None
            await service.call("ListShards", b"{}")
            now[0] = code
            with pytest.raises(AwsUnanswered, match=code):
                await service.call("ListShards", b"{}")
            with pytest.raises(AwsRefused):
                await service.call("GetRecords", b"{}")
            await service.close()

    asyncio.run(story())
