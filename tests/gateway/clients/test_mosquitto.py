"""mosquitto_pub, a client in C, in 3.1.1 and 5."""

import shutil
import subprocess

import pytest

from tests.builders.consumer_process import wait_until
from tests.builders.device_credential import DeviceCredential
from tests.builders.gateway import on_stream, telemetry, topic
from tests.gateway.conftest import Ground

VERSIONS = pytest.mark.parametrize("version", ["311", "5"], ids=["3.1.1", "5"])
pytestmark = pytest.mark.skipif(
    shutil.which("mosquitto_pub") is None, reason="mosquitto_pub is missing: apt-get install mosquitto-clients"
)


def publish(
    ground: Ground, credential: DeviceCredential, version: str, qos: int, name: str, body: bytes
) -> subprocess.CompletedProcess[str]:
    """Run mosquitto_pub once."""
    words = ["mosquitto_pub", "-d", "-h", "localhost", "-p", str(ground.gateway.port("mqtt")), "-V", version]
    words += ["--cafile", str(credential.ca), "-i", credential.device, "-t", name, "-q", str(qos), "-m", body.decode()]
    if credential.token is not None:
        words += ["-u", credential.device, "-P", credential.token]
    else:
        words += ["--cert", str(credential.certificate), "--key", str(credential.key)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@VERSIONS
def test_every_qos_of_the_version_reaches_the_stream(
    ground: Ground, credential: DeviceCredential, version: str
) -> None:
    sent = [telemetry(credential.device, qos) for qos in range(3 if version == "311" else 2)]
    for qos, data in enumerate(sent):
        done = publish(ground, credential, version, qos, topic(credential.device), data)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout

    def found() -> list[bytes]:
        return [data for data in on_stream(ground.settings) if credential.device.encode() in data]

    wait_until(lambda: len(found()) == len(sent), 10)
    assert sorted(found()) == sent


@VERSIONS
def test_a_bad_password_is_told(ground: Ground, bad_password: DeviceCredential, version: str) -> None:
    done = publish(ground, bad_password, version, 1, topic(bad_password.device), b"{}")
    assert done.returncode
    assert "bad user name or password" in done.stderr.lower()


@VERSIONS
def test_a_foreign_device_is_refused(ground: Ground, credential: DeviceCredential, version: str) -> None:
    done = publish(ground, credential, version, 1, topic("mosquitto-other"), telemetry("mosquitto-other"))
    if version == "5":
        assert "RC:135" in done.stdout, done.stdout
    else:
        assert "received PUBACK" not in done.stdout, done.stdout
    assert not any(b"mosquitto-other" in data for data in on_stream(ground.settings))
