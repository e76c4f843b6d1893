"""A lean asynchronous client for AWS's JSON services: botocore finds credentials and signs, aiohttp carries.

It makes one attempt per call (two where only the clock was wrong): the caller decides whether to retry.
"""

import ssl
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import aiohttp
import msgspec

from contracts.errors import FleetlakeError
from contracts.settings import AwsService
from ingest.runtime.aws_access import SKEWED, Access, AwsClock, CredentialsAway, time_of
from ingest.runtime.aws_errors import Meaning, verdict
from ingest.runtime.aws_renewal import EXPIRED
from ingest.runtime.http2 import Http2Response, NoHttp2, post

Response = aiohttp.ClientResponse | Http2Response
_Send = Callable[[dict[str, str]], Awaitable[Response]]
_OK = 200
_CONNECT_S = 5.0
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError)


class AwsRefused(FleetlakeError):
    """A service answered that it will not do this. `code` is AWS's name for why, `meaning` the table's."""

    def __init__(
        self,
        service: str,
        code: str,
        message: str,
        body: bytes = b"",
        *,
        meaning: Meaning = Meaning.FATAL,
        does: str = "",
    ) -> None:
        super().__init__(f"{service} refused: {code}: {message}" + (f" ({does})" if does else ""))
        self.code = code
        self.message = message
        self.body = body
        self.meaning = meaning


class _Skewed(AwsRefused):
    """Refused for a clock that has been set right since the request was signed."""


class AwsUnanswered(FleetlakeError):
    """No usable answer: timeout, broken connection, half a body, an error that passes. The action may have been done.

    code: AWS's name of the error, if it answered one.
    """

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code


class AwsTooLarge(AwsUnanswered):
    """The body is larger than the caller takes; its connection was closed."""


class AwsThrottled(AwsUnanswered):
    """The service is asked too often. Nothing was done."""


class Answer(NamedTuple):
    """A body, and the server's time in epoch milliseconds (whole seconds), or None where the answer has no time."""

    body: bytes
    server_ms: int | None


class JsonService:
    """One AWS service of one region, spoken to in its JSON protocol.

    `call` raises AwsRefused or AwsUnanswered, as ingest.runtime.aws_errors says of each error code. Where a signature
    is refused because this machine's clock is wrong, the request is signed again with the server's time. A denial
    raises AwsRefused; but AwsUnanswered where the same action was allowed before, as while keys are rotated.
    """

    def __init__(
        self,
        service: str,
        prefix: str,
        aws_region: str,
        access: AwsService,
        *,
        version: str,
        timeout_s: float = 20.0,
        aws_clock: AwsClock | None = None,
    ) -> None:
        self._service = service
        self._prefix = prefix
        self._type = f"application/x-amz-json-{version}"
        self.access = Access(service, aws_region, access, aws_clock)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_S)
        self._http: aiohttp.ClientSession | None = None
        self._speaks_http2 = self.access.secure
        self._done: set[str] = set()
        """Actions that the service has done for these credentials, and so allows."""

    async def call(self, action: str, body: bytes) -> Answer:
        """Do one action; `body` is its JSON."""
        response = await self._opened(action, body, self._by_http1(body, self._timeout))
        async with response:
            return await self.answer(action, response)

    async def answer(self, action: str, response: Response, *, most_bytes: int | None = None) -> Answer:
        """The body of an opened response. Raises AwsTooLarge beyond `most_bytes`, without taking more than that."""
        try:
            body = await (response.read() if most_bytes is None else _read_within(response, most_bytes))
            return Answer(body, server_ms(response))
        except _BROKEN as error:
            raise self._unanswered(action, error) from error

    async def open(self, action: str, body: bytes, *, silence_s: float, http2: bool = False) -> Response:
        """Do one action whose answer is long or without end: its response, head read, which the caller closes.

        silence_s: reading fails after so long without a byte. http2: AWS does the action over HTTP/2 only; a server
        that does not speak it, as emulators do not, is asked over HTTP/1.1.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=silence_s)
        if http2 and self._speaks_http2:
            try:
                return await self._opened(action, body, partial(self._post_http2, body, silence_s))
            except NoHttp2:
                self._speaks_http2 = False
        return await self._opened(action, body, self._by_http1(body, timeout))

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    def _by_http1(self, body: bytes, timeout: aiohttp.ClientTimeout) -> _Send:
        access = self.access
        return lambda headers: self._session().post(
            access.url, data=body, headers=headers, timeout=timeout, proxy=access.proxy
        )

    async def _post_http2(self, body: bytes, silence_s: float, headers: dict[str, str]) -> Response:
        access = self.access
        return await post(
            access.url,
            headers,
            body,
            ca_file=access.ca_file,
            proxy=access.proxy,
            connect_s=_CONNECT_S,
            silence_s=silence_s,
        )

    async def _opened(self, action: str, body: bytes, send: _Send) -> Response:
        try:
            return await self._attempt(action, body, send)
        except _Skewed:
            return await self._attempt(action, body, send)

    async def _attempt(self, action: str, body: bytes, send: _Send) -> Response:
        headers, ahead = await self._signed(action, body)
        try:
            response = await send(headers)
            if response.status == _OK:
                self._done.add(action)
                return response
            async with response:
                data = await response.read()
        except NoHttp2:
            raise
        except _BROKEN as error:
            raise self._unanswered(action, error) from error
        code, message = _error_of(data, response.headers.get("x-amzn-ErrorType"))
        if code in EXPIRED:
            self.access.expired()
        if code in SKEWED:
            self.access.clock.learn(response.headers.get("Date"))
            if self.access.clock.ahead != ahead:  # learned from this answer, or from another in the meantime
                raise _Skewed(self._service, code, message, data)
        raise self.meant(action, code, message, status=response.status, data=data)

    def meant(self, action: str, code: str, message: str, *, status: int = 400, data: bytes = b"") -> FleetlakeError:
        """The error that an error code of an action stands for."""
        meaning, does = verdict(self._service, action, code, status)
        text = f"{self._service} failed {action} with {status} {code}: {message}"
        if meaning is Meaning.THROTTLED:
            return AwsThrottled(text, code)
        if meaning is Meaning.PASSING or (meaning is Meaning.DENIED and action in self._done):
            return AwsUnanswered(f"{text} ({does})", code)
        return AwsRefused(self._service, code or str(status), message, data, meaning=meaning, does=does)

    def _unanswered(self, action: str, error: Exception) -> AwsUnanswered:
        return AwsUnanswered(f"{self._service} did not answer {action}: {type(error).__name__}: {error}")

    async def _signed(self, action: str, body: bytes) -> tuple[dict[str, str], timedelta]:
        """Headers of the request, and the clock correction that they are signed with."""
        headers = {"X-Amz-Target": f"{self._prefix}.{action}", "Content-Type": self._type}
        try:
            return await self.access.signed(headers, body)
        except CredentialsAway as error:
            raise AwsUnanswered(str(error)) from error

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            ca_file = self.access.ca_file
            trusted = True if ca_file is None else ssl.create_default_context(cafile=ca_file)
            connector = aiohttp.TCPConnector(limit=0, ssl=trusted)
            self._http = aiohttp.ClientSession(
                timeout=self._timeout, connector=connector, skip_auto_headers=("User-Agent",)
            )
        return self._http


async def _read_within(response: Response, most_bytes: int) -> bytes:
    length = int(response.headers.get("Content-Length", -1))
    if 0 <= length <= most_bytes:
        return await response.read()
    parts, size = list[bytes](), max(0, length)
    while size <= most_bytes and (part := await response.content.readany()):
        parts.append(part)
        size += len(part)
    if size > most_bytes:
        response.close()
        raise AwsTooLarge(f"the answer has {'' if length >= 0 else 'more than '}{size / 1e6:.0f} MB")
    return b"".join(parts)


def _error_of(data: bytes, header: str | None) -> tuple[str, str]:
    """AWS's name of an error, from the body or else from its header, and its message."""
    named = (header or "").partition(":")[0]
    try:
        body = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError:
        return named, data[:200].decode("utf-8", "replace")
    code = str(body.get("__type") or named).rsplit("#", 1)[-1]
    return code, str(body.get("message") or body.get("Message") or "")


def server_ms(response: Response) -> int | None:
    """The server's own time of an answer in epoch milliseconds (whole seconds), or None."""
    served = time_of(response.headers.get("Date"))
    return None if served is None else int(served.timestamp() * 1000)
