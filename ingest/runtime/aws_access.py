"""How an AWS service is reached and signed for: endpoint, proxy and credentials as botocore finds them; one clock."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import botocore
import botocore.session
from botocore.auth import SIGV4_TIMESTAMP, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError
from botocore.utils import get_environ_proxies

from contracts.errors import BadSettings, FleetlakeError, StoreUnavailable
from contracts.settings import AwsService
from ingest.runtime.aws_errors import STS, UNKNOWN, Meaning, verdict
from ingest.runtime.aws_renewal import EXPIRED, Renewal

SKEWED = {"RequestTimeTooSkewed", "RequestExpired", "InvalidSignatureException", "SignatureDoesNotMatch"}
"""What a service may answer because this machine's clock is wrong."""
_SKEW_TO_CORRECT_S = 30.0
NO_CREDENTIALS = (
    "no AWS credentials: set FLEETLAKE_*_ACCESS_KEY and *_SECRET_KEY, or any that botocore finds (environment, "
    "profile, web identity, container, instance)"
)


class CredentialsAway(StoreUnavailable):
    """The source of the credentials (STS, a token file, a metadata service) gives none just now."""


class CredentialsDenied(FleetlakeError):
    """The source of the credentials refuses, and it never gave any: the settings are wrong."""


class AwsClock:
    """AWS's time: this machine's, corrected by the time that a service told. Its users share one.

    Thread-safe: S3's client signs in threads.
    """

    def __init__(self) -> None:
        self.ahead = timedelta()
        """How far the services' clock is ahead of this machine's."""

    def now(self) -> datetime:
        """The time to sign with."""
        return datetime.now(UTC) + self.ahead

    def learn(self, date: str | None) -> None:
        """Correct the clock by an answer's Date header."""
        served = time_of(date)
        if served is None:
            return
        ahead = served - datetime.now(UTC)
        if abs((ahead - self.ahead).total_seconds()) > _SKEW_TO_CORRECT_S:
            self.ahead = ahead


class Signed(NamedTuple):
    """A request's headers, and the clock correction that they are signed with."""

    headers: dict[str, str]
    ahead: timedelta


class Access:
    """Endpoint, proxy and credentials of one service, and the signature of its requests.

    Promises
    - What FLEETLAKE_* does not say, botocore's own resolution does: AWS_ENDPOINT_URL_*, FIPS and dual-stack endpoints,
      profiles, HTTPS_PROXY and NO_PROXY, AWS_CA_BUNDLE, and every source of credentials.
    - One request is signed with one generation of credentials, whatever is refreshed meanwhile.
    - `signed` raises CredentialsAway where a later attempt may find credentials, else CredentialsDenied or BadSettings.
    """

    def __init__(self, service: str, aws_region: str, access: AwsService, clock: AwsClock | None = None) -> None:
        self.clock = clock or AwsClock()
        self._service = service
        self._aws_region = aws_region
        self.url = access.endpoint or _endpoint(self._session, service, aws_region)
        scheme = urlsplit(self.url).scheme
        self.secure = scheme == "https"
        self.proxy = get_environ_proxies(self.url).get(scheme)
        """The URL of the proxy on the way to the service, or None."""
        self.ca_file: str | None = self._session.get_config_variable("ca_bundle") if self.secure else None
        """Whom to trust, as AWS_CA_BUNDLE or a profile says; None for this machine's own authorities."""
        self._credentials = static_credentials(access) or _found(self._session)
        self._renewal = Renewal()
        self._refreshing = asyncio.Lock()
        self._had = False

    @cached_property
    def _session(self) -> Any:
        """botocore's session, whose making takes some 50 ms: not where the settings say everything."""
        return botocore.session.get_session()

    async def signed(self, headers: Mapping[str, str], body: bytes) -> Signed:
        """The headers of a POST of `body`, signed."""
        request = AWSRequest(method="POST", url=self.url, data=body, headers=dict(headers))
        frozen = await self._frozen()
        ahead = self.clock.ahead
        _Signer(frozen, self._service, self._aws_region, ahead).add_auth(request)
        return Signed(dict(request.headers.items()), ahead)

    async def _frozen(self) -> ReadOnlyCredentials:
        credentials = self._credentials
        if credentials is not None and not (
            isinstance(credentials, RefreshableCredentials) and credentials.refresh_needed()
        ):
            self._had = True
            return self._renewal.frozen(credentials)
        # A refresh asks a metadata service or STS and blocks: one thread at a time, however many requests wait for it.
        async with self._refreshing:
            try:
                frozen = await asyncio.to_thread(self._refreshed)
            except Exception as error:
                raise self._explained(error) from error
        self._had = True
        return frozen

    def _refreshed(self) -> ReadOnlyCredentials:
        if self._credentials is None:
            self._credentials = self._session.get_credentials()
            if self._credentials is None:
                raise BadSettings(NO_CREDENTIALS)
        return self._renewal.frozen(self._credentials)

    def expired(self) -> None:
        """The service refused the credentials as expired: the next request asks for others."""
        self._renewal.refused(self._credentials)

    def _explained(self, error: Exception) -> FleetlakeError:
        if isinstance(error, FleetlakeError):
            return error
        meaning, does = meaning_of_credentials(error)
        text = f"no credentials for {self._service} just now: {type(error).__name__}: {error}"
        if self._had or meaning not in (Meaning.DENIED, Meaning.FATAL):
            return CredentialsAway(text)
        return CredentialsDenied(f"{text}; {does}")


def meaning_of_credentials(error: Exception) -> tuple[Meaning, str]:
    """What an error of a source of credentials means, and what to do about it."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        return verdict(STS, error.operation_name, str(error.response.get("Error", {}).get("Code", "")), status)
    if isinstance(error, (OSError, CredentialRetrievalError)) or type(error).__name__ in _AWAY:
        return Meaning.PASSING, "waits"
    return UNKNOWN.meaning, "check the profile and the source of the credentials"


_AWAY = {
    "ConnectionClosedError",
    "ConnectTimeoutError",
    "EndpointConnectionError",
    "HTTPClientError",
    "MetadataRetrievalError",
    "ProxyConnectionError",
    "ReadTimeoutError",
    "SSLError",
}
"""botocore's names for a source that did not answer."""


def time_of(date: str | None) -> datetime | None:
    """The time of a Date header; None where there is none or it cannot be read."""
    if date is None:
        return None
    try:
        served = parsedate_to_datetime(date)
    except ValueError:
        return None
    return served if served.tzinfo else served.replace(tzinfo=UTC)


def static_credentials(access: AwsService) -> Credentials | None:
    """The credentials that the settings hold."""
    if access.access_key is None or access.secret_key is None:
        return None
    token = None if access.session_token is None else access.session_token.get_secret_value()
    return Credentials(access.access_key.get_secret_value(), access.secret_key.get_secret_value(), token)


def sign_s3_by(client: Any, credentials: Credentials, clock: AwsClock) -> None:
    """Have a boto3 client of S3 sign with the clock, which botocore reads from this machine and nowhere else.

    botocore's own signing is switched off by its event for that, and done at its next one.
    """
    renewal = Renewal()

    def sign(request: AWSRequest, signing_name: str, region_name: str, **_: Any) -> None:
        region = request.context.get("signing", {}).get("region") or region_name
        _S3Signer(renewal.frozen(credentials), signing_name, region, clock.ahead).add_auth(request)

    def look(parsed: dict[str, Any], **_: Any) -> None:
        if parsed.get("Error", {}).get("Code") in EXPIRED:
            renewal.refused(credentials)

    client.meta.events.register_first("choose-signer.s3", lambda **_: botocore.UNSIGNED)
    client.meta.events.register_last("before-sign.s3", sign)
    client.meta.events.register_last("after-call.s3", look)


class _Signer(SigV4Auth):
    """botocore's signer, on this machine's clock corrected by the services'."""

    def __init__(self, credentials: ReadOnlyCredentials, service: str, aws_region: str, ahead: timedelta) -> None:
        super().__init__(credentials, service, aws_region)
        self._ahead = ahead

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        request.context["timestamp"] = (datetime.now(UTC) + self._ahead).strftime(SIGV4_TIMESTAMP)
        super()._modify_request_before_signing(request)  # type: ignore[misc]


class _S3Signer(_Signer, S3SigV4Auth):
    """The same with S3's way of naming paths and payloads."""


def _found(session: Any) -> Credentials | None:
    """What botocore finds; None where its source does not answer yet."""
    try:
        found = session.get_credentials()
    except BotoCoreError as error:
        if meaning_of_credentials(error)[0] is not Meaning.PASSING:
            raise BadSettings(f"no AWS credentials: {error}") from error
        return None
    if found is None:
        raise BadSettings(NO_CREDENTIALS)
    return cast(Credentials, found)


def _endpoint(session: Any, service: str, aws_region: str) -> str:
    """Where botocore's own client of the service would go; keys are given lest it look for some."""
    keys = {"aws_access_key_id": "-", "aws_secret_access_key": "-"}
    try:
        url = str(session.create_client(service, region_name=aws_region, **keys).meta.endpoint_url)
    except BotoCoreError as error:
        raise BadSettings(f"no endpoint of {service} in {aws_region!r}: {error}; check regions.toml") from error
    return url if urlsplit(url).path else f"{url}/"
