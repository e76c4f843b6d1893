"""npm's kinesis-local as a running server: a Kinesis that others wrote, to hold the project's own double against."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

VERSION = "0.6.2"
REGION = "eu-central-1"
_ON_LOOPBACK = """
const net = require('net'), listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (where, ...rest) {
  if (where !== null && typeof where === 'object') return listen.call(this, {...where, host: '127.0.0.1'}, ...rest);
  return listen.call(this, where, '127.0.0.1', ...rest.filter((part) => typeof part === 'function'));
};
"""


@contextmanager
def kinesis_local(folder: Path) -> Iterator[str]:
    """Installed into `folder` from the npm registry and started; its endpoint. Skips where node or npm is absent."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("kinesis-local needs node and npm: apt-get install nodejs npm")
    words = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
    installed = subprocess.run(
        [*words, f"kinesis-local@{VERSION}"], check=False, capture_output=True, text=True, timeout=300
    )
    if installed.returncode != 0:
        pytest.skip(f"npm could not install kinesis-local {VERSION}: {installed.stderr.strip()[-200:]}")
    (folder / "on_loopback.js").write_text(_ON_LOOPBACK)
    port, tls_port = _free_port(), _free_port()
    quick = {f"{what}_DURATION": "10ms" for what in ("CREATE_STREAM", "DELETE_STREAM", "SPLIT_SHARD", "MERGE_SHARDS")}
    environment = {**os.environ, **quick, "KINESIS_MOCK_PLAIN_PORT": str(port), "KINESIS_MOCK_TLS_PORT": str(tls_port)}
    words = ["node", "-r", str(folder / "on_loopback.js"), "main.js"]
    place = folder / "node_modules" / "kinesis-local"
    with (folder / "kinesis-local.log").open("wb") as log:
        server = subprocess.Popen(words, cwd=place, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(server, client_of(url), folder / "kinesis-local.log")
        yield url
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def client_of(url: str) -> Any:
    """A boto3 client, for what the consumer's own does not do."""
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client(
        "kinesis", endpoint_url=url, region_name=REGION, aws_access_key_id="key", aws_secret_access_key="secret",
        config=config
    )  # fmt: skip


def create(client: Any, stream: str, shards: int) -> None:
    """A stream that is ready for use."""
    client.create_stream(StreamName=stream, ShardCount=shards)
    active(client, stream)


def active(client: Any, stream: str, within_s: float = 30.0) -> None:
    """Come back once the stream may be used or resharded again."""
    deadline = time.monotonic() + within_s
    while (status := _status(client, stream)) != "ACTIVE":
        assert time.monotonic() < deadline, f"stream {stream} is {status} after {within_s} s"
        time.sleep(0.02)


def _status(client: Any, stream: str) -> str:
    summary = client.describe_stream_summary(StreamName=stream)
    return str(summary["StreamDescriptionSummary"]["StreamStatus"])


def _wait(server: "subprocess.Popen[bytes]", client: Any, log: Path, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while True:
        try:
            client.list_streams()
        except (BotoCoreError, ClientError) as error:
            last = log.read_text(errors="replace")[-500:]
            assert server.poll() is None, f"kinesis-local ended with {server.returncode}: {last}"
            assert time.monotonic() < deadline, f"kinesis-local does not answer: {json.dumps(str(error))}; {last}"
            time.sleep(0.1)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
