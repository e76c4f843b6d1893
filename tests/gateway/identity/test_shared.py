"""A process that starts while Postgres is away knows what others knew, and nobody but the gateway may say it."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import redis

from contracts.errors import StoreUnavailable
from contracts.names import redis_access_device
from gateway.identity.directory import Directory
from gateway.identity.model import Access, FleetCa, KnownDevice, Token
from gateway.identity.shared import SharedMemory
from tests.builders.valkey_server import url_of, valkey
from tests.gateway.identity.test_directory import MemoryRegistry

DEVICE = KnownDevice(
    "d",
    "acme",
    Access.ACTIVE,
    tokens=(Token(b"\x00\xff", datetime(2027, 1, 2, tzinfo=UTC)),),
    keys=("pem",),
    revoked=frozenset({"0a"}),
    speaks_for=frozenset({"leaf"}),
    messages_s=2.5,
)
CA = FleetCa("id", "acme", "pem", "active")


@dataclass
class Ground:
    """A Redis, and memories of processes in it."""

    client: redis.Redis

    def memory(self, key: str = "key", stale_s: float = 60.0) -> SharedMemory:
        return SharedMemory(url_of(self.client), "eu", key, stale_s=stale_s)


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with valkey() as client:
        yield Ground(client)


async def write(ground: Ground, registry: MemoryRegistry, **tuning: object) -> None:
    """A process reads the registry, and ends."""
    shared = ground.memory(**tuning)  # type: ignore[arg-type]
    directory = Directory(registry, age_s=60, stale_s=60, clock=lambda: 0.0, shared=shared)
    await directory.find("d")
    await directory.read_cas()
    while shared._writes:
        await asyncio.sleep(0.01)
    await shared.close()


async def read(ground: Ground, **tuning: object) -> tuple[KnownDevice | None, list[FleetCa]]:
    """What a new process knows while the registry is away."""
    registry = MemoryRegistry()
    registry.away = True
    shared = ground.memory(**tuning)  # type: ignore[arg-type]
    directory = Directory(registry, age_s=60, stale_s=60, clock=lambda: 0.0, shared=shared)
    try:
        found = await directory.find("d")
    except StoreUnavailable:
        found = None
    await shared.close()
    cas = await ground.memory(**tuning).cas()  # type: ignore[arg-type]
    return found, cas or []


class WithCa(MemoryRegistry):
    """A registry of one CA."""

    async def cas(self) -> list[FleetCa]:
        return [CA]


@pytest.fixture
def registry() -> MemoryRegistry:
    made = WithCa()
    made.known["d"] = DEVICE
    return made


def test_what_one_process_read_another_knows_whole(ground: Ground, registry: MemoryRegistry) -> None:
    asyncio.run(write(ground, registry))
    assert asyncio.run(read(ground)) == (DEVICE, [CA])


def test_a_value_by_another_key_or_moved_to_another_device_lets_nobody_in(
    ground: Ground, registry: MemoryRegistry
) -> None:
    asyncio.run(write(ground, registry))
    assert asyncio.run(read(ground, key="another")) == (None, [])
    own = ground.client.get(redis_access_device("eu", "d"))
    ground.client.set(redis_access_device("eu", "thief"), own)  # type: ignore[arg-type]
    assert asyncio.run(ground.memory().find("thief")) is None


def test_what_is_too_old_is_not_known(ground: Ground, registry: MemoryRegistry) -> None:
    asyncio.run(write(ground, registry))
    assert asyncio.run(read(ground, stale_s=0.0)) == (None, [])


def test_without_redis_nothing_is_known_and_nothing_waits(registry: MemoryRegistry) -> None:
    with valkey() as client:
        gone = Ground(client)
    asyncio.run(write(gone, registry))
    assert asyncio.run(read(gone)) == (None, [])
