"""Credentials that live for minutes or are refused before their end, from a container's server, by bench's gates."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from botocore.credentials import RefreshableCredentials

from bench.gates import EXPIRED, FORGED, SKEWED, ContainerKeys, Gate, serving
from contracts.errors import SinkUnavailable
from contracts.settings import AwsService
from ingest.landing import S3Store
from ingest.runtime.aws import AwsUnanswered, JsonService
from ingest.runtime.aws_renewal import Renewal

REGION = "eu-central-1"
OWN = {"access_key": "own", "secret_key": "own's secret"}


class Source:
    """Credentials that live for so many minutes, from a source that counts how often it is asked."""

    def __init__(self, minutes: float) -> None:
        self.now = datetime.now(UTC)
        self.minutes = minutes
        self.asked = self.made = 0
        self.away = False
        keys = self._next()
        self.credentials = RefreshableCredentials(
            keys["access_key"], "s", "t", self.now + timedelta(minutes=minutes), self._next, "test",
            time_fetcher=lambda: self.now,
        )  # fmt: skip
        self.asked = 0

    def _next(self) -> dict[str, str]:
        if self.away:
            raise OSError("the source is away")
        self.asked, self.made = self.asked + 1, self.made + 1
        ends = self.now + timedelta(minutes=self.minutes)
        return {"access_key": f"AK{self.made}", "secret_key": "s", "token": "t", "expiry_time": ends.isoformat()}


@pytest.mark.parametrize(("minutes", "most"), [(5, 26), (15, 9), (60, 3)])
def test_an_hour_of_requests_asks_for_short_lived_credentials_twice_a_life_at_most(minutes: int, most: int) -> None:
    source, renewal = Source(minutes), Renewal()
    for _ in range(3_600):
        source.now += timedelta(seconds=1)
        renewal.frozen(source.credentials)
    assert 1 <= source.asked <= most


def test_short_lived_credentials_are_used_while_their_source_is_away_until_a_quarter_is_left() -> None:
    source, renewal = Source(4), Renewal()
    first = renewal.frozen(source.credentials)
    source.away = True
    for _ in range(179):
        source.now += timedelta(seconds=1)
        assert renewal.frozen(source.credentials) is first
    source.now += timedelta(seconds=2)
    with pytest.raises(OSError, match="the source is away"):
        renewal.frozen(source.credentials)


def test_credentials_that_a_service_refused_are_asked_for_once_more_whatever_end_they_claim() -> None:
    source, renewal = Source(360), Renewal()
    before = renewal.frozen(source.credentials)
    renewal.refused(source.credentials)
    after = renewal.frozen(source.credentials)
    assert (source.asked, after.access_key != before.access_key) == (1, True)
    assert renewal.frozen(source.credentials) is after
    assert source.asked == 1


@pytest.fixture
def in_a_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Sets the URL of the container's credentials; botocore finds no others."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return lambda url: monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)


@asynccontextmanager
async def gated(service: str, keys: ContainerKeys, told: Callable[[str], None]) -> AsyncIterator[tuple[Gate, str]]:
    """A gate before a service that does everything, and its URL; the container's keys are set."""

    async def done(request: web.Request) -> web.Response:
        return web.Response(body=b"{}" if "X-Amz-Target" in request.headers else b"")

    gate = Gate(service, REGION, keys)
    async with (
        serving("*", done) as behind,
        gate.before(AwsService(endpoint=behind, **OWN)) as url,
        keys.serving() as at,
    ):
        told(at)
        # botocore asks the container's server while a client is made, and this loop serves it.
        yield gate, url


def test_kinesis_goes_on_with_the_next_keys_at_the_request_after_an_expired_one(in_a_container) -> None:
    async def story() -> Gate:
        keys = ContainerKeys(6 * 3_600)
        async with gated("kinesis", keys, in_a_container) as (gate, url):
            service = await asyncio.to_thread(
                JsonService, "kinesis", "Kinesis_20131202", REGION, AwsService(endpoint=url), version="1.1"
            )
            await service.call("ListShards", b"{}")
            keys.revoke()
            with pytest.raises(AwsUnanswered, match="ExpiredTokenException"):
                await service.call("ListShards", b"{}")
            await service.call("ListShards", b"{}")
            await service.close()
            return gate

    gate = asyncio.run(story())
    assert (gate.passed, dict(gate.refused)) == (2, {EXPIRED: 1})


def test_s3_goes_on_with_the_next_keys_at_the_request_after_an_expired_one(in_a_container) -> None:
    async def story() -> Gate:
        keys = ContainerKeys(6 * 3_600)
        async with gated("s3", keys, in_a_container) as (gate, url):
            store = await asyncio.to_thread(S3Store.at, "lake", REGION, AwsService(endpoint=url), attempts=1)
            await store.put_new("landing/a b/1.parquet", b"first")
            keys.revoke()
            with pytest.raises(SinkUnavailable, match="ExpiredToken"):
                await store.put_new("landing/a b/2.parquet", b"second")
            await store.put_new("landing/a b/2.parquet", b"second")
            await store.close()
            return gate

    gate = asyncio.run(story())
    assert (gate.passed, dict(gate.refused)) == (2, {EXPIRED: 1})


def test_a_gate_refuses_a_request_whose_time_or_secret_is_wrong(in_a_container) -> None:
    async def story() -> Gate:
        keys = ContainerKeys(6 * 3_600)
        async with gated("dynamodb", keys, in_a_container) as (gate, url):
            key = keys.newest()
            known = {"access_key": key.access_key, "session_token": key.token}
            forged = AwsService.model_validate({"endpoint": url, "secret_key": "guessed", **known})
            service = JsonService("dynamodb", "DynamoDB_20120810", REGION, forged, version="1.0")
            with pytest.raises(Exception, match="InvalidSignatureException"):
                await service.call("Scan", b"{}")
            gate.ahead = timedelta(minutes=20)
            true = AwsService.model_validate({"endpoint": url, "secret_key": key.secret_key, **known})
            late = JsonService("dynamodb", "DynamoDB_20120810", REGION, true, version="1.0")
            await late.call("Scan", b"{}")  # signed again with the service's time
            await asyncio.gather(service.close(), late.close())
            return gate

    gate = asyncio.run(story())
    assert (gate.passed, dict(gate.refused)) == (1, {FORGED: 1, SKEWED: 1})
