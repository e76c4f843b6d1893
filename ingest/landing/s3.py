"""The region's bucket on S3: boto3 in threads, with retries; every failure raises SinkUnavailable."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any, TypeVar

import boto3
import structlog
import tenacity
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from contracts.errors import BadSettings, FleetlakeError, ObjectConflict, SinkUnavailable
from contracts.settings import AwsService, RegionSettings
from ingest.runtime.aws_access import NO_CREDENTIALS, SKEWED, AwsClock, sign_s3_by, static_credentials
from ingest.runtime.aws_errors import CALLS, S3, STS, UNKNOWN, WAITS, Meaning, Verdict, verdict

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)
_AT_ONCE = {"SlowDown", "RequestTimeout", "ConditionalRequestConflict", "409"}
"""What passes so soon that the same call tries again."""
_SERVER_ERROR = 500


class S3Store:
    """One bucket; see ObjectStore for what it promises.

    Each call is tried up to `attempts` times with exponential pauses and jitter. boto3 is used because it honours
    every source of credentials, and its CPU time does not matter: a flush of 100,000s of records is one or two puts.
    """

    def __init__(
        self,
        client: Any,
        name: str,
        *,
        attempts: int = 4,
        longest_wait_s: float = 5.0,
        aws_clock: AwsClock | None = None,
    ) -> None:
        """aws_clock: what the client signs by, to be set right where it proves wrong."""
        self._client = client
        self._aws_clock = aws_clock or AwsClock()
        self._bucket = name
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="s3")
        self._retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passes),
            stop=tenacity.stop_after_attempt(attempts),
            wait=tenacity.wait_exponential_jitter(initial=0.1, max=longest_wait_s),
            reraise=True,
        )

    @classmethod
    def of(
        cls,
        settings: RegionSettings,
        *,
        timeout_s: float = 30.0,
        attempts: int = 4,
        aws_clock: AwsClock | None = None,
    ) -> "S3Store":
        """The lake bucket of the settings' region. aws_clock: shared with the clients of other services."""
        where = settings.bucket, settings.row.aws_region, settings.s3
        return cls.at(*where, timeout_s=timeout_s, attempts=attempts, aws_clock=aws_clock)

    @classmethod
    def at(
        cls,
        bucket: str,
        aws_region: str,
        access: AwsService,
        *,
        timeout_s: float = 30.0,
        attempts: int = 4,
        aws_clock: AwsClock | None = None,
    ) -> "S3Store":
        """A bucket. aws_clock: shared with the clients of other services."""
        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=timeout_s,
            max_pool_connections=16,
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        session, clock = boto3.Session(), aws_clock or AwsClock()
        client = session.client("s3", config=config, **access.client_kwargs(aws_region))
        credentials = static_credentials(access) or session.get_credentials()
        if credentials is None:
            raise BadSettings(NO_CREDENTIALS)
        sign_s3_by(client, credentials, clock)
        return cls(client, bucket, attempts=attempts, aws_clock=clock)

    async def put_new(self, key: str, data: bytes) -> None:
        """Put an object that must not exist with other bytes; see ObjectStore."""
        await self._run("write", lambda: self._put(key, data))

    async def get(self, key: str) -> bytes:
        """The object's bytes. Raises KeyError where there is none."""
        return await self._run("read", lambda: self._get(key))

    async def list(self, prefix: str) -> AsyncIterator[str]:
        """Keys that start with `prefix`, in the order of their bytes."""
        token: str | None = None
        while True:
            more = {"ContinuationToken": token} if token else {}
            page = await self._run("list", lambda more=more: self._page(prefix, more))  # type: ignore[misc]
            for item in page.get("Contents", ()):
                yield item["Key"]
            token = page.get("NextContinuationToken")
            if not token:
                return

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        await self._run("delete", lambda: self._client.delete_object(Bucket=self._bucket, Key=key))

    async def close(self) -> None:
        """Wait for running calls, then close the connections."""
        await asyncio.to_thread(self._threads.shutdown)
        self._client.close()

    def _put(self, key: str, data: bytes) -> None:
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=data, IfNoneMatch="*")
        except ClientError as error:
            if _verdict(error).meaning is not Meaning.REFUSED:
                raise
            if sha256(self._get(key)).digest() != sha256(data).digest():
                raise ObjectConflict(
                    f"s3://{self._bucket}/{key} exists with other bytes; nothing was written"
                ) from None

    def _get(self, key: str) -> bytes:
        try:
            body: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            if _verdict(error).meaning is Meaning.REFUSED:
                raise KeyError(key) from None
            raise
        return body

    def _page(self, prefix: str, more: dict[str, str]) -> dict[str, Any]:
        page: dict[str, Any] = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **more)
        return page

    async def _run(self, what: str, call: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, lambda: self._retry.copy()(self._by_right_time, call))
        except (ClientError, BotoCoreError, OSError) as error:
            text = f"S3 bucket {self._bucket}: cannot {what}: {_explained(error)}"
            if isinstance(error, ClientError) and _verdict(error).meaning is Meaning.FATAL:
                raise FleetlakeError(text) from error
            _log.warning("s3 unavailable", bucket=self._bucket, action=what, error=_reason(error))
            raise SinkUnavailable(text) from error

    def _by_right_time(self, call: Callable[[], _T]) -> _T:
        """Call; and once more where S3's answer shows that the clock is wrong, which is set right by it."""
        ahead = self._aws_clock.ahead
        try:
            return call()
        except ClientError as error:
            if _code(error) in SKEWED:
                self._aws_clock.learn(_headers(error).get("date"))
            if self._aws_clock.ahead == ahead:
                raise
        return call()


def _passes(error: BaseException) -> bool:
    """Whether the same call may succeed a moment later."""
    if isinstance(error, ClientError):
        return _status(error) >= _SERVER_ERROR or _code(error) in _AT_ONCE
    return isinstance(error, (BotoCoreError, OSError))


def _verdict(error: ClientError) -> Verdict:
    """What the error means; a client raises also what STS answered it."""
    service = S3 if error.operation_name in CALLS[S3] else STS
    return verdict(service, error.operation_name, _code(error), _status(error))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _headers(error: ClientError) -> dict[str, str]:
    return dict(error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _reason(error: Exception) -> str:
    return _code(error) if isinstance(error, ClientError) else type(error).__name__


def _explained(error: Exception) -> str:
    reason = _reason(error)
    if not isinstance(error, ClientError):
        return f"it does not answer ({reason}: {error}); check the endpoint and that it runs"
    does = _verdict(error).does
    if does in (WAITS.does, UNKNOWN.does):
        return f"it answered {reason}; it may be full, read-only or failing: check its log and disk"
    return f"{reason}: {does}"
