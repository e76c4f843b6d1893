"""A region that is away: its devices keep what was not acknowledged and send it again, and nothing goes elsewhere."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import stack
from contracts.settings import RegionSettings
from gateway.admin.devices import NewDevice, add, make_token
from tests.builders.gateway import GatewayProcess, on_stream, post, telemetry
from tests.builders.stack import TWO_REGIONS, state_parent

pytestmark = pytest.mark.long


@pytest.fixture
def state() -> Iterator[Path]:
    with state_parent() as folder:
        (folder / "regions.toml").write_text(TWO_REGIONS, encoding="utf-8")
        try:
            stack.up(folder / "state", folder / "regions.toml")
            yield folder / "state"
        finally:
            stack.down(folder / "state")


class Device:
    """A device of eu that keeps every message until it is acknowledged."""

    def __init__(self, settings: RegionSettings) -> None:
        add(settings, [NewDevice("roamer", "acme")])
        self._bearer = {"Authorization": f"Bearer roamer:{make_token(settings, 'roamer', days=None, replace=False)}"}
        self.kept: list[int] = []
        self.answers: list[int] = []

    def measure(self, number: int) -> None:
        self.kept.append(number)

    def send(self, gateway: GatewayProcess) -> None:
        """Send all that is kept; what is acknowledged is kept no longer."""
        for number in list(self.kept):
            try:
                status, _ = post(gateway, telemetry("roamer", number), **self._bearer)
            except OSError:
                return
            self.answers.append(status)
            if status == 202:
                self.kept.remove(number)


def test_devices_keep_and_resend_and_no_other_region_takes_their_records(state: Path) -> None:
    settings = {name: RegionSettings.load(stack.region_environment(state, name, {})) for name in ("eu", "us")}
    gateways = {name: GatewayProcess(stack.region_environment(state, name, {})).ready() for name in ("eu", "us")}
    device = Device(settings["eu"])
    try:
        for number in range(5):
            device.measure(number)
            device.send(gateways["eu"])
        gateways["eu"].kill()
        for number in range(5, 15):
            device.measure(number)
            device.send(gateways["eu"])
        assert len(device.kept) == 10
        device.answers.clear()
        device.send(gateways["us"])
        assert set(device.answers) == {401}, "another region knows the device"
        assert len(device.kept) == 10
        gateways["eu"] = GatewayProcess(stack.region_environment(state, "eu", {})).ready()
        device.send(gateways["eu"])
    finally:
        for gateway in gateways.values():
            gateway.kill()
    assert device.kept == []
    found = [json.loads(body)["event_id"] for body in on_stream(settings["eu"])]
    assert sorted(found) == sorted(f"roamer-{number}" for number in range(15))
    assert on_stream(settings["us"]) == []
