"""A stack with two regions of two fleets each, and a service of each on it that tests share."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import stack as embedded
from contracts.settings import RegionSettings, WorldSettings
from tests.builders.serving import Service, fill_region, fill_world
from tests.builders.stack import TWO_REGIONS


@dataclass(frozen=True)
class Served:
    """The services of both regions. Tests share them: change no data but your own."""

    state: Path
    eu: Service
    us: Service


@pytest.fixture(scope="session")
def serving_state() -> Iterator[Path]:
    """A stack of its own: tests stop its stores."""
    state = Path(tempfile.mkdtemp(prefix="fleetlake-serving-"))
    try:
        regions = state / "regions.toml"
        regions.write_text(TWO_REGIONS, encoding="utf-8")
        embedded.up(state, regions)
        for region in ("eu", "us"):
            fill_region(RegionSettings.load(embedded.region_environment(state, region, {})))
        fill_world(WorldSettings.load(embedded.world_environment(state, {})))
        yield state
    finally:
        embedded.down(state)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="session")
def served(serving_state: Path) -> Iterator[Served]:
    """Both services. The page of `eu` knows both."""
    services = {name: Service(serving_state, name) for name in ("eu", "us")}
    try:
        sites = ",".join(f"{name}={one.origin}" for name, one in services.items())
        origins = ",".join(one.origin for one in services.values())
        for one in services.values():
            one.start(
                sites=sites,
                origins=origins,
                requests_s=10_000,
                directory_age_s=2,
                store_timeout_s=30,
                webhooks_private=True,
            )
        for one in services.values():
            one.ready()
        yield Served(serving_state, services["eu"], services["us"])
    finally:
        for one in services.values():
            one.kill()
