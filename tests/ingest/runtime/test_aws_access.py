"""Endpoint, proxy, credentials and clock of AWS's services, as botocore finds them, and one clock for all."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from aiohttp import web
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError, CredentialRetrievalError, ProfileNotFound

from contracts.errors import BadSettings, FleetlakeError, SinkUnavailable
from contracts.settings import AwsService, RegionSettings
from ingest.landing import S3Store
from ingest.leases.dynamodb import DynamoLeases
from ingest.runtime.aws import JsonService
from ingest.runtime.aws_access import (
    Access,
    AwsClock,
    CredentialsAway,
    CredentialsDenied,
    meaning_of_credentials,
)
from ingest.runtime.aws_errors import CALLS, STS, Meaning, codes_of
from tests.builders.kinesis_server import HOST
from tests.builders.refusing_server import RefusingServer, refusing

REGION = "us-east-1"
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "nothing set": {},
    "FIPS": {"AWS_USE_FIPS_ENDPOINT": "true"},
    "dual stack": {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
    "both": {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
    "one endpoint for all": {"AWS_ENDPOINT_URL": "https://all.example"},
    "an endpoint each": {
        "AWS_ENDPOINT_URL_KINESIS": "https://k.example",
        "AWS_ENDPOINT_URL_DYNAMODB": "https://d.example",
    },
    "endpoints ignored": {"AWS_ENDPOINT_URL": "https://all.example", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
}


@pytest.fixture(autouse=True)
def _only_these(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No AWS or proxy settings but the test's own."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_endpoints_are_those_of_botocores_own_clients(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in ENVIRONMENTS[name].items():
        monkeypatch.setenv(variable, value)
    for service in ("kinesis", "dynamodb"):
        own = Access(service, REGION, AwsService()).url
        peer = boto3.Session().client(service, region_name=REGION).meta.endpoint_url
        assert own.removesuffix("/") == peer.removesuffix("/")


def test_a_setting_of_ours_comes_before_the_environment_and_a_region_that_cannot_be_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS", "https://k.example")
    assert Access("kinesis", REGION, AwsService(endpoint="http://own.example/")).url == "http://own.example/"
    with pytest.raises(BadSettings, match=r"no endpoint of dynamodb in 'not a region'"):
        Access("dynamodb", "not a region", AwsService())


def test_requests_go_through_the_proxy_that_the_environment_names_except_to_hosts_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story() -> list[str]:
        hosts: list[str] = []

        async def proxy(request: web.Request) -> web.Response:
            hosts.append(request.headers["Host"])
            return web.Response(body=b"{}")

        async with _server(proxy) as url:
            monkeypatch.setenv("http_proxy", url)
            monkeypatch.setenv("no_proxy", "near.example")
            there = AwsService(endpoint="http://kinesis.example/")
            service = JsonService("kinesis", "Kinesis_20131202", REGION, there, version="1.1")
            assert (await service.call("ListShards", b"{}")).body == b"{}"
            await service.close()
            assert Access("kinesis", REGION, AwsService(endpoint="http://near.example/")).proxy is None
        return hosts

    assert asyncio.run(story()) == ["kinesis.example"]


def test_a_session_token_of_the_settings_or_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"access_key": "key", "secret_key": "secret", "session_token": "ours"}
    ours = AwsService.model_validate({"endpoint": "http://x/", **settings})
    monkeypatch.setenv("AWS_SESSION_TOKEN", "theirs")
    for access, token in ((ours, "ours"), (AwsService(endpoint="http://x/"), "theirs")):
        signed = asyncio.run(Access("kinesis", REGION, access).signed({}, b""))
        assert signed.headers["X-Amz-Security-Token"] == token
    assert ours.client_kwargs(REGION)["aws_session_token"] == "ours"
    with pytest.raises(ValueError, match="session token needs"):
        AwsService.model_validate({"session_token": "alone"})


class Rotated(RefreshableCredentials):
    """Credentials that another thread refreshes between two reads of their parts."""

    def __init__(self) -> None:
        self.generation = 1
        self.race = True
        super().__init__("AK1", "SK1", "T1", _in(minutes=14), self._next, "test", advisory_timeout=1)

    @property
    def secret_key(self) -> str:
        """The part that is read second."""
        if self.race:
            self.race = False
            self._set_from_data(self._next())
        return str(self._secret_key)

    @secret_key.setter
    def secret_key(self, value: str) -> None:
        self._secret_key = value

    def _next(self) -> dict[str, str]:
        self.generation += 1
        number = self.generation
        keys = {"access_key": f"AK{number}", "secret_key": f"SK{number}", "token": f"T{number}"}
        return {**keys, "expiry_time": _in(hours=1).isoformat()}


def test_a_request_is_signed_with_one_generation_of_credentials() -> None:
    access = Access("kinesis", REGION, AwsService(endpoint="http://x/"))
    access._credentials = Rotated()
    headers = asyncio.run(access.signed({}, b"")).headers
    key = headers["Authorization"].partition("Credential=")[2].partition("/")[0]
    assert key.removeprefix("AK") == headers["X-Amz-Security-Token"].removeprefix("T")


def _client_error(code: str, call: str = "AssumeRoleWithWebIdentity") -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(answer, call)


AWAY: dict[str, Exception] = {
    "STS throttles": _client_error("Throttling"),
    "the identity provider is down": _client_error("IDPCommunicationError"),
    "STS is down": _client_error("ServiceUnavailable"),
    "the token file is being rotated": FileNotFoundError(2, "No such file", "/var/run/secrets/token"),
    "the metadata service is down": CredentialRetrievalError(provider="iam-role", error_msg="no answer"),
}
DENIED: dict[str, Exception] = {
    "the role denies": _client_error("AccessDenied"),
    "the token is of another": _client_error("InvalidIdentityToken"),
    "there is no such profile": ProfileNotFound(profile="eu"),
    "the provider's answer is nonsense": ValueError("Expecting value"),
}


@pytest.mark.parametrize("name", [*AWAY, *DENIED])
@pytest.mark.parametrize("had", [True, False])
def test_credentials_that_cannot_be_refreshed_are_waited_for_and_never_end_a_worker_that_had_some(
    name: str, had: bool
) -> None:
    async def story() -> FleetlakeError:
        leases = DynamoLeases("eu", REGION, AwsService(endpoint="http://127.0.0.1:1/"))
        access = leases._wire._service.access

        def refresh() -> dict[str, str]:
            raise {**AWAY, **DENIED}[name]

        access._credentials = RefreshableCredentials("a", "b", "t", _in(minutes=5), refresh, "test")
        access._had = had
        with pytest.raises(FleetlakeError) as raised:
            await leases.rows()
        await leases.close()
        return raised.value

    error = asyncio.run(story())
    assert isinstance(error, SinkUnavailable) is (had or name in AWAY)


def test_every_error_code_of_sts_waits_once_there_were_credentials_and_names_what_to_check_before() -> None:
    wrong = []
    for call in CALLS[STS]:
        for code, found in codes_of(STS, call).items():
            if meaning_of_credentials(_client_error(code, call)) != found:
                wrong.append(code)
    assert wrong == []


@pytest.mark.parametrize(
    ("code", "kind"), [("IDPCommunicationError", CredentialsAway), ("AccessDenied", CredentialsDenied), (None, None)]
)
def test_a_web_identity_asks_sts_and_what_it_answers_is_told(
    code: str | None, kind: type[Exception] | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::000000000000:role/eu")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    async def sts(_: web.Request) -> web.Response:
        if code is not None:
            return web.Response(status=400, body=f"<E><Error><Code>{code}</Code></Error></E>".encode())
        parts = {
            "AccessKeyId": "AK",
            "SecretAccessKey": "SK",
            "SessionToken": "T",
            "Expiration": _in(hours=1).isoformat(),
        }
        held = "".join(f"<{name}>{value}</{name}>" for name, value in parts.items())
        result = f"<AssumeRoleWithWebIdentityResult><Credentials>{held}</Credentials></AssumeRoleWithWebIdentityResult>"
        return web.Response(body=f"<R>{result}</R>".encode())

    async def story() -> None:
        async with _server(sts) as url:
            monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
            access = Access("kinesis", REGION, AwsService(endpoint="http://x/"))
            with pytest.raises(CredentialsAway, match="FileNotFoundError"):
                await access.signed({}, b"")
            token.write_text("token")
            if kind is not None:
                with pytest.raises(kind):
                    await access.signed({}, b"")
            else:
                assert (await access.signed({}, b"")).headers["X-Amz-Security-Token"] == "T"

    asyncio.run(story())


def test_no_credentials_at_all_is_a_setting_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    with pytest.raises(BadSettings, match="no AWS credentials"):
        Access("kinesis", REGION, AwsService(endpoint="http://x/"))


class S3OfAnotherTime:
    """A bucket whose clock is ahead; it keeps nothing and counts whom it refuses."""

    def __init__(self, ahead: timedelta) -> None:
        self.refused = self.taken = 0
        self._ahead = ahead

    async def __call__(self, request: web.Request) -> web.Response:
        signed = datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        now = datetime.now(UTC) + self._ahead
        headers = {"Date": format_datetime(now, usegmt=True)}
        if abs(now - signed) < timedelta(minutes=15):
            self.taken += 1
            return web.Response(headers=headers)
        self.refused += 1
        body = b"<Error><Code>RequestTimeTooSkewed</Code><Message>too large</Message></Error>"
        return web.Response(status=403, body=body, headers=headers)


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_wrong_clock_is_set_right_by_s3_too_and_for_all_services(hours: int) -> None:
    async def story() -> tuple[int, int, timedelta]:
        bucket, clock = S3OfAnotherTime(timedelta(hours=hours)), AwsClock()
        async with _server(bucket) as url:
            store = S3Store.of(_settings(url), aws_clock=clock)
            for number in range(3):
                await store.put_new(f"key-{number}", b"bytes")
            await store.close()
        return bucket.refused, bucket.taken, clock.ahead

    refused, taken, ahead = asyncio.run(story())
    assert (refused, taken) == (1, 3)
    assert abs(ahead - timedelta(hours=hours)) < timedelta(minutes=1)


def test_what_one_service_told_of_the_time_the_others_sign_by() -> None:
    async def story() -> int:
        clock, bucket = AwsClock(), S3OfAnotherTime(timedelta(hours=3))
        clock.learn(format_datetime(datetime.now(UTC) + timedelta(hours=3), usegmt=True))
        async with _server(bucket) as url, refusing(RefusingServer()) as access:
            store = S3Store.of(_settings(url), aws_clock=clock)
            await store.put_new("key", b"bytes")
            await store.close()
            leases = DynamoLeases("eu", REGION, access, aws_clock=clock)
            signed = await leases._wire._service.access.signed({}, b"")
            assert signed.ahead == clock.ahead
            await leases.close()
        return bucket.refused

    assert asyncio.run(story()) == 0


def _settings(s3_url: str) -> RegionSettings:
    unused = ("REDIS_URL", "POSTGRES_DSN", "PRIVACY_DSN", "RELEASE_KEY")
    environment = {f"FLEETLAKE_{name}": "unused" for name in unused}
    s3 = {"FLEETLAKE_S3_ENDPOINT": s3_url, "FLEETLAKE_S3_ACCESS_KEY": "key", "FLEETLAKE_S3_SECRET_KEY": "secret"}
    return RegionSettings.load({**environment, **s3, "FLEETLAKE_REGION": "eu"})


@asynccontextmanager
async def _server(answer: Any) -> Any:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    try:
        yield f"http://{HOST}:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def _in(**more: float) -> datetime:
    return datetime.now(UTC) + timedelta(**more)


def test_the_meaning_of_an_unknown_error_of_a_source_is_a_denial() -> None:
    assert meaning_of_credentials(KeyError("AccessKeyId"))[0] is Meaning.DENIED
