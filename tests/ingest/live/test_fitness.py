"""Live state on servers that evict, are full, are in cluster mode, fail over, or change passwords: P2 holds, and why
nothing is written is said."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
from structlog.testing import capture_logs

from contracts.errors import SinkUnavailable
from ingest.live import RedisLive
from ingest.live.credentials import elasticache_login, without_login
from ingest.live.fitness import fitness_of
from tests.builders.ingest import ARRIVAL_MS, landing_rows
from tests.builders.valkey_server import url_of, valkey

SMALL = ("--maxmemory", "8mb")


def _told(live: RedisLive, story: Callable[[], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        try:
            return await story()
        finally:
            await live.close()

    return asyncio.run(whole())


def _rows(first: int, count: int) -> Any:
    place = {"ts_ms": ARRIVAL_MS, "arrival_ms": ARRIVAL_MS, "seq": 0, "lat": 48.137, "lon": 11.575, "flags": 0}
    return landing_rows([{"device_id": f"d{number}", **place} for number in range(first, first + count)])


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_a_server_that_may_evict_a_guard_is_never_written_to(policy: str) -> None:
    with valkey(*SMALL, "--maxmemory-policy", policy) as server:
        live = RedisLive(url_of(server), "eu")

        async def story() -> None:
            with pytest.raises(SinkUnavailable, match=f"maxmemory-policy is {policy}.*set noeviction"):
                await live.write(_rows(0, 10))
            assert server.dbsize() == 0
            server.config_set("maxmemory-policy", "noeviction")
            assert (await live.write(_rows(0, 10))).updated == 10

        with capture_logs() as logs:
            _told(live, story)
        assert [log["event"] for log in logs if log["log_level"] == "error"] == ["redis unfit"]


def test_where_keys_were_evicted_live_state_is_incomplete_until_it_is_rebuilt() -> None:
    with valkey(*SMALL, "--maxmemory-policy", "noeviction") as server:
        live = RedisLive(url_of(server), "eu")

        async def story() -> tuple[str | None, str | None]:
            await live.begin_rebuild("whole")
            await live.end_rebuild("whole")
            await live.write(_rows(0, 10))
            before = await live.epoch()
            server.config_set("maxmemory-policy", "allkeys-lru")
            for number in range(20_000):
                server.set(f"other:{number}", "x" * 1000)
            with pytest.raises(SinkUnavailable):
                await live.check()
            return before, await live.epoch()

        assert _told(live, story) == ("whole", None)


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-ttl"])
def test_a_policy_that_spares_the_guards_is_warned_of_and_a_full_server_is_an_outage(policy: str) -> None:
    with valkey(*SMALL, "--maxmemory-policy", policy) as server:
        live = RedisLive(url_of(server), "eu")

        async def story() -> None:
            await live.write(_rows(0, 1))
            kept = await live.latest("d0")
            with pytest.raises(SinkUnavailable, match="out of memory"):
                for number in range(1, 100_000, 1000):
                    await live.write(_rows(number, 1000))
            assert kept is not None
            assert await live.latest("d0") == kept

        with capture_logs() as logs:
            _told(live, story)
        assert [log for log in logs if log["event"] == "redis unfit" and log["log_level"] == "warning"]


def test_cluster_mode_is_named_before_anything_is_written() -> None:
    with valkey("--cluster-enabled", "yes") as server:
        live = RedisLive(url_of(server), "eu")

        async def story() -> None:
            with pytest.raises(SinkUnavailable, match="cluster mode, whose scripts cannot touch keys of several slots"):
                await live.write(_rows(0, 10))

        _told(live, story)


class Name:
    """An address that connections made from now on reach `port` by, as a name's does whose entry changes."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, towards = await asyncio.open_connection("127.0.0.1", self.port)
        await asyncio.gather(self._pass(reader, towards), self._pass(upstream, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()


def test_a_replica_is_not_written_to_and_after_a_failover_every_connection_is_made_anew() -> None:
    with valkey() as old, valkey() as new:
        ports = [server.connection_pool.connection_kwargs["port"] for server in (old, new)]

        async def story() -> None:
            name = Name(ports[0])
            async with await asyncio.start_server(name, "127.0.0.1", 0) as listening:
                live = RedisLive(f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}/0", "eu")
                await live.write(_rows(0, 10))
                await asyncio.gather(*(live.latest(f"d{number}") for number in range(8)))  # several connections
                old.replicaof("127.0.0.1", ports[1])
                for _ in range(2):
                    with pytest.raises(SinkUnavailable, match="replica"):
                        await live.write(_rows(0, 10))
                name.port = ports[1]
                assert (await live.write(_rows(0, 10))).updated == 10
                await live.close()
            assert new.exists("eu:latest:d0")

        asyncio.run(story())


def test_a_password_that_rotates_is_asked_for_at_each_new_connection_and_its_absence_is_an_outage() -> None:
    with valkey() as server:
        server.acl_setuser("eu", enabled=True, passwords=["+first"], keys=["*"], categories=["+@all"])
        known: list[str] = ["first"]
        live = RedisLive(url_of(server, "eu:never-sent"), "eu", login=lambda: ("eu", known[0]))

        async def story() -> None:
            assert (await live.write(_rows(0, 5))).updated == 5
            server.acl_setuser("eu", enabled=True, passwords=["+second", "-first"])
            server.client_kill_filter(skipme=True)
            with pytest.raises(SinkUnavailable):
                await live.write(_rows(5, 5))
            known[0] = "second"
            await _written(live, _rows(5, 5))
            known.clear()
            server.client_kill_filter(skipme=True)
            with pytest.raises(SinkUnavailable, match=r"no login for Redis just now|closed"):
                await live.write(_rows(10, 5))
            known.append("second")
            await _written(live, _rows(10, 5))

        _told(live, story)


async def _written(live: RedisLive, rows: Any) -> None:
    for _ in range(10):
        try:
            await live.write(rows)
        except SinkUnavailable:
            continue
        return
    raise AssertionError("not written")


def test_a_user_that_may_not_ask_is_warned_and_written() -> None:
    with valkey() as server:
        server.acl_setuser(
            "eu", enabled=True, passwords=["+secret"], keys=["*"], categories=["+@all"], commands=["-info"]
        )
        live = RedisLive(url_of(server, "eu:secret"), "eu")
        with capture_logs() as logs:
            assert _told(live, lambda: live.write(_rows(0, 5))).updated == 5
        assert next(log["why"] for log in logs if log["event"] == "redis unfit").startswith(
            "its user may not call INFO"
        )


@pytest.mark.parametrize(
    ("info", "unfit"),
    [
        ({"redis_version": "7.2.4", "role": "master", "maxmemory_policy": "noeviction"}, None),
        ({}, None),
        ({"redis_version": "5.0.6"}, "needs 6.2"),
        ({"cluster_enabled": 1}, "cluster mode"),
        ({"role": "slave"}, "is a replica"),
        ({"maxmemory_policy": "allkeys-lru"}, "evict a device's newest record"),
    ],
)
def test_what_info_tells_of_a_server(info: dict[str, object], unfit: str | None) -> None:
    found = fitness_of(info).unfit
    assert found is None if unfit is None else unfit in str(found)


def test_an_elasticache_login_is_a_signature_for_the_cache_and_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    user, password = elasticache_login("region-eu", "live-eu", "eu-central-1")()
    signed = urlsplit(f"//{password}")
    query = parse_qs(signed.query)
    assert (user, signed.netloc, signed.path) == ("region-eu", "live-eu", "/")
    assert (query["Action"], query["User"], query["X-Amz-Expires"]) == (["connect"], ["region-eu"], ["900"])
    assert query["X-Amz-Credential"][0].endswith("/eu-central-1/elasticache/aws4_request")
    assert query["X-Amz-Security-Token"] == ["token"]
    assert query["X-Amz-Signature"][0]


def test_an_address_without_its_login() -> None:
    assert (
        without_login("rediss://user:p%40ss@host:6379/0?ssl_cert_reqs=none")
        == "rediss://host:6379/0?ssl_cert_reqs=none"
    )
    assert redis.connection.parse_url(without_login("redis://host"))["host"] == "host"
