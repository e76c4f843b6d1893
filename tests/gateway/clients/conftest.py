"""What a client that is not ours is given: a device's credential, of each kind."""

from pathlib import Path
from uuid import uuid4

import pytest

from gateway.identity.laptop import device_files, fleet_authority, folder_of, server_files
from tests.builders.device_credential import DeviceCredential
from tests.gateway.conftest import Ground


@pytest.fixture(params=["token", "certificate"])
def credential(request: pytest.FixtureRequest, ground: Ground, tmp_path: Path) -> DeviceCredential:
    """A device of the test's own; with a certificate it is provisioned at first contact."""
    folder = folder_of(ground.settings.state, "eu")
    ca, device = server_files(folder).ca, f"client-{uuid4().hex[:12]}"
    if request.param == "token":
        return DeviceCredential(device, ca, token=ground.device(device))
    certificate, key = device_files(tmp_path, fleet_authority(folder, "acme"), device)
    return DeviceCredential(device, ca, certificate=certificate, key=key)


@pytest.fixture
def bad_password(ground: Ground) -> DeviceCredential:
    """A known device with a password that is not its own."""
    ground.device("client-guessed")
    return DeviceCredential("client-guessed", server_files(folder_of(ground.settings.state, "eu")).ca, token="guessed")
