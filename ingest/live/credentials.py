"""Credentials of Redis that change: asked for at each new connection."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit, urlunsplit

import botocore.session
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as NotConnected

Login = tuple[str, str]
"""User and password."""
_VALID_S = 900


class AskedFor(CredentialProvider):
    """A login from a function, which is called for each new connection and may block for a moment.

    What the function raises counts as an outage: it is asked again.
    """

    def __init__(self, ask: Callable[[], Login]) -> None:
        self._ask = ask

    def get_credentials(self) -> Login:
        """User and password to connect with now."""
        try:
            return self._ask()
        except Exception as error:
            raise NotConnected(f"no login for Redis just now: {type(error).__name__}: {error}") from error

    async def get_credentials_async(self) -> Login:
        """The same, off the event loop."""
        return await asyncio.to_thread(self.get_credentials)


def elasticache_login(user: str, cache: str, aws_region: str) -> Callable[[], Login]:
    """Logins of an ElastiCache user that authenticates by IAM: its password is a signature, valid for 15 minutes.

    user: its id, which is its name too. cache: name of the replication group. The role needs elasticache:Connect.
    """
    session = botocore.session.get_session()

    def ask() -> Login:
        credentials = session.get_credentials()
        if credentials is None:
            raise NotConnected("botocore finds no AWS credentials")
        query = urlencode({"Action": "connect", "User": user})
        request = AWSRequest(method="GET", url=f"http://{cache}/?{query}")
        SigV4QueryAuth(credentials.get_frozen_credentials(), "elasticache", aws_region, _VALID_S).add_auth(request)
        return user, str(request.url).removeprefix("http://")

    return ask


def without_login(url: str) -> str:
    """The URL without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
