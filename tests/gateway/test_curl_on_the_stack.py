"""curl, a client that is not ours, over TLS with each kind of credential."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.identity.laptop import device_files, fleet_authority, folder_of, server_files
from tests.builders.gateway import on_stream, telemetry
from tests.gateway.conftest import Ground

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def curl(ground: Ground, body: bytes, *words: str) -> tuple[int, dict[str, object]]:
    """Status and document."""
    ca = server_files(folder_of(ground.settings.state, "eu")).ca
    url = f"https://localhost:{ground.gateway.port('http')}/v1/telemetry"
    command = ["curl", "-sS", "--noproxy", "*", "--cacert", str(ca), "-w", "\n%{http_code}", "--data-binary", "@-", url]
    done = subprocess.run([*command, *words], input=body, capture_output=True, timeout=60, check=True)
    document, _, status = done.stdout.decode().rpartition("\n")
    return int(status), json.loads(document)


def test_curl_with_a_token(ground: Ground) -> None:
    token, record = ground.device("curl-1"), telemetry("curl-1")
    typed = ("-H", "Content-Type: application/json")
    assert curl(ground, record, "-u", f"curl-1:{token}", *typed) == (202, {"accepted": 1})
    assert curl(ground, record, "-H", f"Authorization: Bearer curl-1:{token}", *typed) == (202, {"accepted": 1})
    assert curl(ground, record, "-u", "curl-1:wrong", *typed)[0] == 401
    assert curl(ground, record, "-u", f"curl-1:{token}")[0] == 415
    assert on_stream(ground.settings).count(record) == 2


def test_curl_with_a_certificate_and_a_large_body(ground: Ground, tmp_path: Path) -> None:
    authority = fleet_authority(folder_of(ground.settings.state, "eu"), "acme")
    certificate, key = device_files(tmp_path, authority, "curl-2")
    words = ("--cert", str(certificate), "--key", str(key), "-H", "Content-Type: application/x-ndjson")
    records = [telemetry("curl-2", number) for number in range(4_000)]
    body = b"\n".join(records)
    assert curl(ground, body, *words, "-H", "Expect: 100-continue") == (202, {"accepted": 4_000})
    assert [data for data in on_stream(ground.settings) if b'"curl-2"' in data] == records
