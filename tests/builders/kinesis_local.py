"""npm's kinesis-local as a running server: a Kinesis that others wrote, to hold the project's own double against."""

import json
import os
import shutil
import signal
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

from contracts.ports import free_port
from ingest.kinesis import Shard

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
    port, tls_port = free_port(), free_port()
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


class KinesisLocal:
    """One stream there: what tests do to it beside reading it, as ingest.kinesis.memory.MemoryStream has it."""

    def __init__(self, url: str, name: str, shards: int) -> None:
        self.name = name
        self._client = client_of(url)
        self._client.create_stream(StreamName=name, ShardCount=shards)
        self._active()

    def put(self, key: str, data: bytes) -> tuple[str, str]:
        """Shard and sequence number."""
        done = self._client.put_record(StreamName=self.name, PartitionKey=key, Data=data)
        return done["ShardId"], done["SequenceNumber"]

    def split(self, shard: str) -> list[str]:
        """In the middle of its hashes; its children."""
        hashes = next(row for row in self._rows() if row["ShardId"] == shard)["HashKeyRange"]
        middle = (int(hashes["StartingHashKey"]) + int(hashes["EndingHashKey"])) // 2 + 1
        self._client.split_shard(StreamName=self.name, ShardToSplit=shard, NewStartingHashKey=str(middle))
        self._active()
        return sorted(row["ShardId"] for row in self._rows() if row.get("ParentShardId") == shard)

    def merge(self, one: str, other: str) -> str:
        """Their child."""
        self._client.merge_shards(StreamName=self.name, ShardToMerge=one, AdjacentShardToMerge=other)
        self._active()
        return next(row["ShardId"] for row in self._rows() if row.get("ParentShardId") == one)

    async def list_shards(self) -> list[Shard]:
        """All of them, closed ones too."""
        return [
            Shard(
                row["ShardId"],
                tuple(row[name] for name in ("ParentShardId", "AdjacentParentShardId") if row.get(name)),
                int(row["HashKeyRange"]["StartingHashKey"]),
                int(row["HashKeyRange"]["EndingHashKey"]),
                bool(row["SequenceNumberRange"].get("EndingSequenceNumber")),
            )
            for row in self._rows()
        ]

    def _rows(self) -> list[dict[str, Any]]:
        return list(self._client.list_shards(StreamName=self.name)["Shards"])

    def _active(self, within_s: float = 30.0) -> None:
        deadline = time.monotonic() + within_s
        while (status := self._status()) != "ACTIVE":
            assert time.monotonic() < deadline, f"stream {self.name} is {status} after {within_s} s"
            time.sleep(0.02)

    def _status(self) -> str:
        summary = self._client.describe_stream_summary(StreamName=self.name)
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
