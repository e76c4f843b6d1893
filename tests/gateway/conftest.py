"""A stack with one region, and a gateway on it that tests share."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import stack as embedded
from contracts.settings import RegionSettings
from gateway.admin.devices import NewDevice, add, add_ca, make_token
from gateway.identity.laptop import fleet_authority, folder_of
from tests.builders.consumer_process import region_file
from tests.builders.gateway import GatewayProcess, MqttClient


@dataclass(frozen=True)
class Ground:
    """A region and its gateway. Tests share it: use devices of your own."""

    state: Path
    settings: RegionSettings
    gateway: GatewayProcess
    start: Callable[..., GatewayProcess]
    clients: list[MqttClient] = field(default_factory=list)

    def device(self, device_id: str, fleet: str = "acme") -> str:
        """Enter a device; its token."""
        add(self.settings, [NewDevice(device_id, fleet)])
        return make_token(self.settings, device_id, days=None, replace=False)

    def connected(self, device_id: str, token: str) -> MqttClient:
        """A client that was let in; it is closed when its test ends."""
        client = MqttClient(self.gateway.port("mqtt"), self.gateway.trust())
        self.clients.append(client)
        assert client.connect(device_id, token) == 0
        return client


@pytest.fixture(scope="session")
def gateway_state() -> Iterator[Path]:
    """A stack of the gateway's own: its tests stop and fill what no other test should meet."""
    state = Path(tempfile.mkdtemp(prefix="fleetlake-gateway-"))
    try:
        embedded.up(state, region_file(state, shards=2))
        yield state
    finally:
        embedded.down(state)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(scope="session")
def shared(gateway_state: Path) -> Iterator[Ground]:
    """The gateway, which believes the CA of fleet `acme` and takes its devices in at first contact."""
    environment = embedded.region_environment(gateway_state, "eu", {})
    settings = RegionSettings.load(environment)
    authority = fleet_authority(folder_of(settings.state, "eu"), "acme")
    add_ca(settings, "acme", authority.certificate, "active")
    started: list[GatewayProcess] = []

    def start(*, workers: int = 1, **tuning: object) -> GatewayProcess:
        started.append(GatewayProcess(environment, workers=workers, **tuning))
        return started[-1].ready()

    try:
        quick = {"source_failures_min": 10_000, "device_connects_min": 1_000, "linger_ms": 5, "connect_time_s": 3}
        gateway = start(request_time_s=3, identity_age_s=5, **quick)
        yield Ground(gateway_state, settings, gateway, start)
    finally:
        for process in started:
            process.kill()


@pytest.fixture
def ground(shared: Ground) -> Iterator[Ground]:
    """The same, a test at a time."""
    yield shared
    while shared.clients:
        shared.clients.pop().close()
