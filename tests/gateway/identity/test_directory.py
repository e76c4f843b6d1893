"""What is remembered of the registry: of a bounded age, asked in batches, and enough while Postgres is away."""

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from contracts.errors import StoreUnavailable
from gateway.identity.directory import ASK_AGAIN_S, Directory
from gateway.identity.model import Access, FleetCa, KnownDevice


class MemoryRegistry:
    """A Registry in memory that may be away."""

    def __init__(self, *device_ids: str) -> None:
        self.known = {device_id: KnownDevice(device_id, "acme", Access.ACTIVE) for device_id in device_ids}
        self.away = False
        self.queries: list[list[str]] = []

    async def devices(self, device_ids: Collection[str]) -> dict[str, KnownDevice]:
        self.queries.append(sorted(device_ids))
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("away")
        return {device_id: self.known[device_id] for device_id in device_ids if device_id in self.known}

    async def cas(self) -> list[FleetCa]:
        return []

    async def provision(self, device_id: str, ca: FleetCa) -> None:
        self.known[device_id] = KnownDevice(device_id, ca.fleet_id, Access(ca.provisioning))


class Scene:
    """A directory over a registry, with a clock that stands."""

    def __init__(self, *device_ids: str) -> None:
        self.now = 0.0
        self.registry = MemoryRegistry(*device_ids)
        self.directory = Directory(self.registry, age_s=60, stale_s=3600, clock=lambda: self.now)

    def find(self, device_id: str) -> Any:
        return asyncio.run(self.directory.find(device_id))


def test_an_answer_is_used_for_its_age_and_then_asked_again() -> None:
    scene = Scene("d")
    assert scene.find("d").device_id == "d"
    scene.now = 59
    scene.find("d")
    assert len(scene.registry.queries) == 1
    scene.now = 61
    scene.find("d")
    assert len(scene.registry.queries) == 2


def test_a_device_that_is_asked_for_anew_is_read_again_and_stays_known_while_the_registry_is_away() -> None:
    scene = Scene("d")
    scene.find("d")
    asyncio.run(scene.directory.find("d", anew=True))
    assert len(scene.registry.queries) == 2
    scene.registry.away = True
    assert asyncio.run(scene.directory.find("d", anew=True)).device_id == "d"


def test_a_known_device_is_known_while_the_registry_is_away_for_a_bounded_time() -> None:
    scene = Scene("d")
    scene.find("d")
    scene.registry.away = True
    scene.now = 3_000
    assert scene.find("d").device_id == "d"
    assert scene.directory.away
    with pytest.raises(StoreUnavailable):
        scene.find("never seen")
    scene.now = 4_000
    with pytest.raises(StoreUnavailable):
        scene.find("d")
    scene.registry.away = False
    scene.now += ASK_AGAIN_S
    assert scene.find("d").device_id == "d"
    assert not scene.directory.away


def test_a_registry_that_is_away_is_not_asked_by_every_device() -> None:
    scene = Scene("d", "e")
    scene.find("d")
    scene.registry.away = True
    scene.now = 100
    for _ in range(5):
        assert scene.find("d").device_id == "d"
        with pytest.raises(StoreUnavailable):
            scene.find("e")
    assert len(scene.registry.queries) == 2


def test_what_is_forgotten_is_asked_at_once_and_still_helps_in_an_outage() -> None:
    scene = Scene("d")
    scene.find("d")
    scene.registry.known["d"] = KnownDevice("d", "acme", Access.REVOKED)
    scene.directory.forget(["d", "another"])
    assert scene.find("d").access is Access.REVOKED
    scene.directory.forget(["d"])
    scene.registry.away = True
    assert scene.find("d").access is Access.REVOKED


def test_an_unknown_device_is_asked_for_again() -> None:
    scene = Scene()
    assert scene.find("d") is None
    scene.registry.known["d"] = KnownDevice("d", "acme", Access.ACTIVE)
    assert scene.find("d").device_id == "d"


def test_a_storm_asks_in_batches() -> None:
    names = [f"d{number}" for number in range(500)]
    scene = Scene(*names)

    async def storm() -> list[Any]:
        return await asyncio.gather(*(scene.directory.find(name) for name in names for _ in range(3)))

    assert len(asyncio.run(storm())) == 1_500
    assert len(scene.registry.queries) <= 2
    assert sorted(name for query in scene.registry.queries for name in query) == sorted(names)
