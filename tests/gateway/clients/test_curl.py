"""curl, over TLS with each kind of credential."""

import json
import shutil
import subprocess

import pytest

from tests.builders.device_credential import DeviceCredential
from tests.builders.gateway import on_stream, telemetry
from tests.gateway.conftest import Ground

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing: apt-get install curl")
JSON = ("-H", "Content-Type: application/json")
LINES = ("-H", "Content-Type: application/x-ndjson")


def curl(ground: Ground, credential: DeviceCredential, body: bytes, *words: str) -> tuple[int, dict[str, object]]:
    """Status and document."""
    url = f"https://localhost:{ground.gateway.port('http')}/v1/telemetry"
    shown = ["-u", f"{credential.device}:{credential.token}"]
    if credential.certificate is not None:
        shown = ["--cert", str(credential.certificate), "--key", str(credential.key)]
    command = ["curl", "-sS", "--noproxy", "*", "--cacert", str(credential.ca), "-w", "\n%{http_code}", *shown]
    command += ["--data-binary", "@-", url, *words]
    done = subprocess.run(command, input=body, capture_output=True, timeout=60, check=True)
    document, _, status = done.stdout.decode().rpartition("\n")
    return int(status), json.loads(document)


def test_a_record_and_a_large_body_reach_the_stream(ground: Ground, credential: DeviceCredential) -> None:
    records = [telemetry(credential.device, number) for number in range(4_001)]
    assert curl(ground, credential, records[0], *JSON) == (202, {"accepted": 1})
    body = b"\n".join(records[1:])
    assert curl(ground, credential, body, *LINES, "-H", "Expect: 100-continue") == (202, {"accepted": 4_000})
    assert [data for data in on_stream(ground.settings) if credential.device.encode() in data] == records


def test_a_bearer_does_as_well_as_basic_authentication(ground: Ground, bad_password: DeviceCredential) -> None:
    token = ground.device("client-bearer")
    bearer = ("-H", f"Authorization: Bearer client-bearer:{token}")
    assert curl(ground, bad_password, telemetry("client-bearer"), *JSON, *bearer)[0] == 202


def test_a_foreign_device_is_refused(ground: Ground, credential: DeviceCredential) -> None:
    status, document = curl(ground, credential, telemetry("curl-other"), *JSON)
    assert (status, document["reason"]) == (403, "other_device")
    assert not any(b"curl-other" in data for data in on_stream(ground.settings))


def test_a_bad_password_and_a_form_are_refused(ground: Ground, bad_password: DeviceCredential) -> None:
    record = telemetry(bad_password.device)
    status, document = curl(ground, bad_password, record, *JSON)
    assert (status, document["reason"]) == (401, "bad_credential")
    assert curl(ground, bad_password, record)[0] == 415
