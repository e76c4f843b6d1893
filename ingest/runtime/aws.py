"""A lean asynchronous client for AWS's JSON services: botocore finds credentials and signs, aiohttp carries.

It makes one attempt per call (two where only the clock was wrong): the caller decides whether to retry.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, cast

import aiohttp
import botocore.session
import msgspec
from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import BotoCoreError

from contracts.errors import BadSettings, FleetlakeError
from contracts.settings import AwsService

_SKEWED = {"RequestTimeTooSkewed", "RequestExpired", "InvalidSignatureException", "SignatureDoesNotMatch"}
_PASSING = {
    "InternalFailure",
    "InternalServerError",
    "ServiceUnavailable",
    "ExpiredTokenException",
    "RequestTimeTooSkewed",
    "RequestExpired",
    "LimitExceededException",
}
_DENYING = {
    "AccessDeniedException",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "KMSAccessDeniedException",
    "KMSDisabledException",
    "KMSInvalidStateException",
}
"""What a service that worked before answers while keys and policies are being changed."""
_SKEW_TO_CORRECT_S = 30.0
_SERVER_ERROR = 500
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError)


class AwsRefused(FleetlakeError):
    """A service answered that it will not do this. `code` is AWS's name for why."""

    def __init__(self, service: str, code: str, message: str, body: bytes = b"") -> None:
        super().__init__(f"{service} refused: {code}: {message}")
        self.code = code
        self.message = message
        self.body = body


class _Skewed(AwsRefused):
    """Refused for a clock that has been set right since the request was signed."""


class AwsUnanswered(FleetlakeError):
    """No usable answer: timeout, broken connection, half a body, or a server error. The action may have been done."""


class Answer(NamedTuple):
    """A body, and the server's time in epoch milliseconds (whole seconds), or None where the answer has no time."""

    body: bytes
    server_ms: int | None


class JsonService:
    """One AWS service of one region, spoken to in its JSON protocol.

    `call` raises AwsRefused or AwsUnanswered. Where a signature is refused because this machine's clock is wrong, the
    request is signed again with the server's time. An access denial raises AwsRefused; but AwsUnanswered where the same
    action was allowed before, as while keys are rotated.
    """

    def __init__(
        self, service: str, prefix: str, aws_region: str, access: AwsService, *, version: str, timeout_s: float = 20.0
    ) -> None:
        self._service = service
        self._prefix = prefix
        self._type = f"application/x-amz-json-{version}"
        session = botocore.session.get_session()
        self._url = access.endpoint or _public_endpoint(session, service, aws_region)
        self._credentials = _credentials(session, access)
        self._signer = _Signer(self._credentials, service, aws_region)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=5.0)
        self._http: aiohttp.ClientSession | None = None
        self._done: set[str] = set()
        """Actions that the service has done for these credentials, and so allows."""

    async def call(self, action: str, body: bytes) -> Answer:
        """Do one action; `body` is its JSON."""
        response = await self._opened(action, body, self._timeout)
        async with response:
            return await self.answer(action, response)

    async def answer(self, action: str, response: aiohttp.ClientResponse) -> Answer:
        """The body of an opened response."""
        try:
            return Answer(await response.read(), server_ms(response))
        except _BROKEN as error:
            raise self._unanswered(action, error) from error

    async def open(self, action: str, body: bytes, *, silence_s: float) -> aiohttp.ClientResponse:
        """Do one action whose answer is a stream without end: its response, head read, which the caller closes.

        silence_s: reading fails after so long without a byte.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=silence_s)
        return await self._opened(action, body, timeout)

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _opened(self, action: str, body: bytes, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        try:
            return await self._attempt(action, body, timeout)
        except _Skewed:
            return await self._attempt(action, body, timeout)

    async def _attempt(self, action: str, body: bytes, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        headers, ahead = await self._signed(action, body)
        try:
            response = await self._session().post(self._url, data=body, headers=headers, timeout=timeout)
            if response.status == 200:  # noqa: PLR2004
                self._done.add(action)
                return response
            async with response:
                data = await response.read()
        except _BROKEN as error:
            raise self._unanswered(action, error) from error
        code, message = _error_of(data)
        if code in _SKEWED:
            self._signer.learn(_server_time(response.headers.get("Date")))
            if self._signer.ahead != ahead:  # learned from this answer, or from another in the meantime
                raise _Skewed(self._service, code, message, data)
        raise self._failure(action, response.status, code, message, data)

    def _unanswered(self, action: str, error: Exception) -> AwsUnanswered:
        return AwsUnanswered(f"{self._service} did not answer {action}: {type(error).__name__}: {error}")

    def _failure(self, action: str, status: int, code: str, message: str, data: bytes) -> FleetlakeError:
        if status >= _SERVER_ERROR or code in _PASSING or (action in self._done and code in _DENYING):
            return AwsUnanswered(f"{self._service} failed {action} with {status} {code}: {message}")
        return AwsRefused(self._service, code or str(status), message, data)

    async def _signed(self, action: str, body: bytes) -> tuple[dict[str, str], timedelta]:
        """Headers, and the clock correction that they are signed with."""
        headers = {"X-Amz-Target": f"{self._prefix}.{action}", "Content-Type": self._type}
        request = AWSRequest(method="POST", url=self._url, data=body, headers=headers)
        try:
            # A refresh asks a metadata service or STS and blocks; everything else is arithmetic.
            if isinstance(self._credentials, RefreshableCredentials) and self._credentials.refresh_needed():
                await asyncio.to_thread(self._signer.add_auth, request)
            else:
                self._signer.add_auth(request)
        except BotoCoreError as error:
            raise AwsUnanswered(f"no credentials for {self._service} just now: {error}") from error
        return dict(request.headers.items()), request.context["ahead"]

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                timeout=self._timeout, connector=aiohttp.TCPConnector(limit=0), skip_auto_headers=("User-Agent",)
            )
        return self._http


class _Signer(SigV4Auth):
    """botocore's signer, on this machine's clock corrected by the server's."""

    def __init__(self, credentials: Credentials, service: str, aws_region: str) -> None:
        super().__init__(credentials, service, aws_region)
        self.ahead = timedelta()
        """How far the server's clock is ahead of this machine's."""

    def learn(self, served: datetime | None) -> None:
        """Correct the clock by the server's time."""
        if served is None:
            return
        ahead = served - datetime.now(UTC)
        if abs((ahead - self.ahead).total_seconds()) > _SKEW_TO_CORRECT_S:
            self.ahead = ahead

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        request.context["ahead"] = self.ahead
        request.context["timestamp"] = (datetime.now(UTC) + request.context["ahead"]).strftime(SIGV4_TIMESTAMP)
        super()._modify_request_before_signing(request)  # type: ignore[misc]


def _credentials(session: Any, access: AwsService) -> Credentials:
    if access.access_key and access.secret_key:
        return Credentials(access.access_key.get_secret_value(), access.secret_key.get_secret_value())
    found = session.get_credentials()
    if found is None:
        raise BadSettings("no AWS credentials: set FLEETLAKE_*_ACCESS_KEY and *_SECRET_KEY, or any that botocore finds")
    return cast(Credentials, found)


def _public_endpoint(session: Any, service: str, aws_region: str) -> str:
    found = session.get_component("endpoint_resolver").construct_endpoint(service, aws_region)
    if not found:
        raise BadSettings(f"AWS has no {service} in {aws_region!r}; check aws_region in regions.toml")
    return f"https://{found['hostname']}/"


def _error_of(data: bytes) -> tuple[str, str]:
    try:
        body = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError:
        return "", data[:200].decode("utf-8", "replace")
    code = str(body.get("__type", "")).rsplit("#", 1)[-1]
    return code, str(body.get("message") or body.get("Message") or "")


def server_ms(response: aiohttp.ClientResponse) -> int | None:
    """The server's own time of an answer in epoch milliseconds (whole seconds), or None."""
    served = _server_time(response.headers.get("Date"))
    return None if served is None else int(served.timestamp() * 1000)


def _server_time(header: str | None) -> datetime | None:
    if header is None:
        return None
    try:
        served = parsedate_to_datetime(header)
    except ValueError:
        return None
    return served if served.tzinfo else served.replace(tzinfo=UTC)
