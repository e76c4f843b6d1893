"""Where a webhook may go: public addresses over TLS, decided anew at each connection.

A customer names the address, so the service must not be made to ask its own network (OWASP API7, server side request
forgery). What a name resolves to is checked where the connection is made: a name that changes later gains nothing.
"""

import socket
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from serving.problems import BadRequest

MOST_URL = 2_000
_TLS = "https"
_PLAIN = "http"


def checked_url(url: str, private: bool) -> str:
    """The address as it is kept. private: http:// and addresses that are not public will do. Raises BadRequest."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise BadRequest("url: is no address") from None
    if parts.scheme != _TLS and not (private and parts.scheme == _PLAIN):
        raise BadRequest("url: begins with https://")
    if not host or parts.username is not None or parts.fragment or port == 0 or not url.isascii() or " " in url:
        raise BadRequest("url: is https://host/path, without a user and without #")
    if not private and not _may_be_public(host):
        raise BadRequest("url: is an address on the public internet")
    return url


class _Guarded(AbstractResolver):
    """Resolves names to public addresses alone."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        public = [one for one in found if ip_address(one["host"]).is_global]
        if not public:
            raise OSError(None, "the name has no public address")
        return public

    async def close(self) -> None:
        await self._resolver.close()


def session(private: bool, within_s: float) -> aiohttp.ClientSession:
    """A client that reaches such addresses alone, follows no redirect by itself and keeps no cookie."""
    more: dict[str, Any] = {} if private else {"resolver": _Guarded()}
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=0, **more),
        timeout=aiohttp.ClientTimeout(total=within_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"user-agent": "Fleetlake-Webhooks/1"},
        trust_env=False,
    )


def _may_be_public(host: str) -> bool:
    """False for addresses that are not; names are looked up when a connection is made."""
    try:
        return ip_address(host).is_global
    except ValueError:
        # A resolver may read what is no address to Python as one: 127.1, 0x7f000001, 2130706433.
        return "." in host and not host.rpartition(".")[2].isdigit() and not host.lower().startswith("0x")
