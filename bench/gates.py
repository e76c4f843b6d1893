"""What the embedded services lack of AWS: keys that expire, and a look at a request's signature and time.

`ContainerKeys` hands out credentials as ECS does to a container. A `Gate` stands before one service, refuses what AWS
would refuse of a request that is signed by them, and signs the others with the embedded service's own keys.
"""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import NamedTuple

import aiohttp
from aiohttp import web
from botocore.auth import SIGV4_TIMESTAMP, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from contracts.settings import AwsService

HOST = "127.0.0.1"
UNKNOWN, EXPIRED, SKEWED, FORGED = "unknown key", "expired key", "wrong time", "wrong signature"
CODES = {
    UNKNOWN: ("UnrecognizedClientException", "InvalidAccessKeyId"),
    EXPIRED: ("ExpiredTokenException", "ExpiredToken"),
    SKEWED: ("InvalidSignatureException", "RequestTimeTooSkewed"),
    FORGED: ("InvalidSignatureException", "SignatureDoesNotMatch"),
}
"""AWS's words for a reason: Kinesis' and DynamoDB's, and S3's."""
_MOST_BYTES = 2**28
_SKEW = timedelta(minutes=15)
"""How far a request's time may be from the service's."""
_NEW_AT = 0.2
"""The share of a key's life that is left when the next one is handed out."""
_OWN = {"connection", "content-encoding", "content-length", "date", "keep-alive", "transfer-encoding"}
_OF_THE_CALLER = {"authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"}
_NOT_FORWARDED = _OWN | _OF_THE_CALLER | {"host", "expect", "accept-encoding"}


class Key(NamedTuple):
    """Credentials with an end."""

    access_key: str
    secret_key: str
    token: str
    ends: datetime


class ContainerKeys:
    """The credentials server of a container: the newest key, in ECS's words; an older one lives on until its end."""

    def __init__(self, life_s: float) -> None:
        self.life_s = life_s
        self.made = self.asked = 0
        self.known: dict[str, Key] = {}
        self._newest: Key | None = None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """The URL that AWS_CONTAINER_CREDENTIALS_FULL_URI is set to."""
        async with serving("GET", self._answer) as url:
            yield f"{url}/credentials"

    async def _answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        key = self.newest()
        body = {"AccessKeyId": key.access_key, "SecretAccessKey": key.secret_key, "Token": key.token}
        return web.json_response({**body, "Expiration": key.ends.isoformat().replace("+00:00", "Z")})

    def revoke(self) -> None:
        """Refuse every key from now on, before the end that it came with."""
        now = datetime.now(UTC)
        self.known = {name: key._replace(ends=min(key.ends, now)) for name, key in self.known.items()}
        self._newest = None

    def newest(self) -> Key:
        """The key that is handed out just now."""
        now = datetime.now(UTC)
        if self._newest is None or self._newest.ends - now < timedelta(seconds=self.life_s * _NEW_AT):
            self.made += 1
            ends = now + timedelta(seconds=self.life_s)
            key = Key(f"ASIA{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30), secrets.token_urlsafe(60), ends)
            self.known[key.access_key] = self._newest = key
        return self._newest


class Gate:
    """Refuses as AWS does and counts it in `refused`, by reason; `ahead` of the true time is the service's clock."""

    def __init__(self, service: str, aws_region: str, keys: ContainerKeys) -> None:
        self.ahead = timedelta()
        self.refused: Counter[str] = Counter()
        self.passed = 0
        self._service = service
        self._aws_region = aws_region
        self._keys = keys

    @asynccontextmanager
    async def before(self, access: AwsService) -> AsyncIterator[str]:
        """The URL of a proxy for the service that `access` reaches."""
        own = access.client_kwargs(self._aws_region)
        self._behind = str(own["endpoint_url"]).rstrip("/")
        self._own = Credentials(own["aws_access_key_id"], own["aws_secret_access_key"])
        skipped = ("User-Agent", "Content-Type", "Accept-Encoding", "Accept")
        async with (
            aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=skipped) as self._http,
            serving("*", self._pass_on) as url,
        ):
            yield url

    async def refusal(self, request: web.Request, _: str = "") -> web.Response | None:
        """The answer where AWS would refuse, else None."""
        reason = self._fault(request, await request.read())
        if reason is None:
            self.passed += 1
            return None
        self.refused[reason] += 1
        code = CODES[reason][self._service == "s3"]
        if self._service == "s3":
            text = f"<Error><Code>{code}</Code><Message>refused by the gate</Message></Error>"
            status = 400 if reason == EXPIRED else 403
            return web.Response(text=text, status=status, content_type="application/xml", headers=self._date())
        body = {"__type": code, "message": "refused by the gate"}
        return web.json_response(body, status=400, content_type="application/x-amz-json-1.1", headers=self._date())

    def _fault(self, request: web.Request, body: bytes) -> str | None:
        signed = _Signed.of(request.headers)
        key = None if signed is None else self._keys.known.get(signed.access_key)
        if signed is None or key is None or key.token != request.headers.get("X-Amz-Security-Token"):
            return UNKNOWN
        if datetime.now(UTC) > key.ends:
            return EXPIRED
        if abs(signed.time - (datetime.now(UTC) + self.ahead)) > _SKEW:
            return SKEWED
        url = f"http://{request.headers['Host']}{request.raw_path}"
        return (
            None
            if signed.signature == signed.expected(self._service, self._aws_region, key, request, url, body)
            else FORGED
        )

    async def _pass_on(self, request: web.Request) -> web.Response:
        refused = await self.refusal(request)
        if refused is not None:
            return refused
        body, url = await request.read(), f"{self._behind}{request.raw_path}"
        kept = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_FORWARDED}
        resigned = AWSRequest(method=request.method, url=url, data=body, headers=kept)
        _signer(self._service, self._own, self._aws_region).add_auth(resigned)
        headers = dict(resigned.headers.items())
        try:
            async with self._http.request(
                request.method, URL(url, encoded=True), data=body or None, headers=headers
            ) as got:
                told = {name: value for name, value in got.headers.items() if name.lower() not in _OWN}
                return web.Response(body=await got.read(), status=got.status, headers=told | self._date())
        except aiohttp.ClientError as error:
            return web.Response(
                text=f"<Error><Code>ServiceUnavailable</Code><Message>{error}</Message></Error>", status=503
            )

    def _date(self) -> dict[str, str]:
        return {"Date": format_datetime(datetime.now(UTC) + self.ahead, usegmt=True)}


class _Signed(NamedTuple):
    """What a request's headers say of its signature."""

    access_key: str
    names: list[str]
    signature: str
    time: datetime

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "_Signed | None":
        parts = headers.get("Authorization", "").replace(",", " ").split()
        said = dict(part.split("=", 1) for part in parts if "=" in part)
        if not {"Credential", "SignedHeaders", "Signature"} <= said.keys() or "X-Amz-Date" not in headers:
            return None
        at = datetime.strptime(headers["X-Amz-Date"], SIGV4_TIMESTAMP).replace(tzinfo=UTC)
        return cls(said["Credential"].split("/")[0], said["SignedHeaders"].split(";"), said["Signature"], at)

    def expected(self, service: str, aws_region: str, key: Key, request: web.Request, url: str, body: bytes) -> str:
        """The signature that the key's owner would make of the request."""
        headers = {name: request.headers[name] for name in self.names if name in request.headers}
        same = AWSRequest(method=request.method, url=url, data=body, headers=headers)
        same.context["timestamp"] = request.headers["X-Amz-Date"]
        signer = _signer(service, Credentials(key.access_key, key.secret_key, key.token), aws_region)
        return str(signer.signature(signer.string_to_sign(same, signer.canonical_request(same)), same))


def _signer(service: str, credentials: Credentials, aws_region: str) -> SigV4Auth:
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    return kind(credentials, service, aws_region)


@asynccontextmanager
async def serving(method: str, handler: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """A handler of every path on a free port of the running loop; its URL."""
    app = web.Application(client_max_size=_MOST_BYTES)
    app.router.add_route(method, "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
