"""A small Kinesis over HTTP whose refusals a test decides, and what producers, files and fleets are tested with."""

import base64
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from botocore.config import Config

from contracts import kpl
from contracts.regions import Region
from devices.fleet import Mess, Simulation
from producer import RetryRules

QUICK = RetryRules(first_wait_s=0.001, longest_wait_s=0.004, give_up_s=5.0)
"""Retries that do not make a test wait."""
THROTTLED = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"}
ANSWER_LOST = (0, "")
"""A refusal that is none: all is accepted, and the connection ends without an answer."""
A_WEDNESDAY = datetime(2026, 11, 18, tzinfo=UTC)

Refusal = Callable[[int, list[dict[str, Any]]], "set[int] | tuple[int, str] | None"]
"""Given the call's number and its records: the places to refuse, or an HTTP status and error code for all of it."""


def region(name: str = "eu", zone: str = "Europe/Berlin") -> Region:
    """A row of a region table."""
    return Region(
        name=name,
        aws_region="eu-central-1",
        time_zone=zone,
        legal_regime="GDPR",
        retention_days=30,
        stream_shards=4,
        history_buckets=4,
    )


def simulation(**changes: Any) -> Simulation:
    """A small fleet's working day, without mess unless asked for."""
    wanted = {"devices": 24, "hours": 24, "seed": 5, "start": A_WEDNESDAY, "mess": None, "region": region(), **changes}
    return Simulation(wanted.pop("region"), **wanted)


def messy(**changes: Any) -> Simulation:
    """The same with much mess."""
    return simulation(**{"mess": Mess(0.2), **changes})


def payloads(made: Simulation) -> list[bytes]:
    """All user records of a simulation in their order."""
    return [payload for outgoing in made.outgoing() for payload in outgoing.payloads]


class ScriptedKinesis:
    """What the server holds: Kinesis records by shard in the order in which they were accepted."""

    def __init__(self, shards: int, refuse: Refusal) -> None:
        self.shards = even_shards(shards)
        self.accepted: dict[str, list[dict[str, Any]]] = {}
        self.calls: list[int] = []
        """Records of each PutRecords call, refused calls too."""
        self._refuse = refuse
        self._lock = threading.Lock()

    def answer(self, operation: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """One request: its status and its body."""
        with self._lock:
            if operation == "ListShards":
                return 200, {"Shards": self.shards}
            return self._put(body["Records"])

    def _put(self, records: list[dict[str, Any]]) -> tuple[int, dict[str, Any]]:
        self.calls.append(len(records))
        refused = self._refuse(len(self.calls), records) or set()
        if refused == ANSWER_LOST:
            self._accept(records, set())
            return ANSWER_LOST[0], {}
        if isinstance(refused, tuple):
            return refused[0], {"__type": refused[1], "message": "scripted"}
        return 200, {"FailedRecordCount": len(refused), "Records": self._accept(records, refused)}

    def _accept(self, records: list[dict[str, Any]], refused: set[int]) -> list[dict[str, str]]:
        results = []
        for place, record in enumerate(records):
            if place in refused:
                results.append(THROTTLED)
                continue
            shard = self._shard_of(record["PartitionKey"])
            held = self.accepted.setdefault(shard, [])
            held.append(record)
            results.append({"ShardId": shard, "SequenceNumber": str(len(held))})
        return results

    def user_records(self) -> list[bytes]:
        """All user records, shard by shard, in the order in which a consumer would read them."""
        return [data for _, data in self.routed()]

    def routed(self) -> list[tuple[str, bytes]]:
        """The same with the shard of each."""
        return [(shard, data) for shard, held in self.accepted.items() for record in held for data in unpacked(record)]

    def _shard_of(self, key: str) -> str:
        place = int.from_bytes(md5(key.encode()).digest())
        for shard in self.shards:
            hashes = shard["HashKeyRange"]
            is_open = "EndingSequenceNumber" not in shard["SequenceNumberRange"]
            if is_open and int(hashes["StartingHashKey"]) <= place <= int(hashes["EndingHashKey"]):
                return str(shard["ShardId"])
        raise AssertionError("the shards do not cover the hash keys")


def even_shards(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Open shards of equal ranges, as ListShards answers."""
    size = 2**128 // count
    ends = [size * (place + 1) - 1 for place in range(count - 1)] + [2**128 - 1]
    starts = [0, *(end + 1 for end in ends[:-1])]
    return [
        {
            "ShardId": f"shardId-{first + place:012d}",
            "HashKeyRange": {"StartingHashKey": str(start), "EndingHashKey": str(end)},
            "SequenceNumberRange": {"StartingSequenceNumber": "1"},
        }
        for place, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def unpacked(record: dict[str, Any]) -> Sequence[bytes]:
    """User records of a Kinesis record as PutRecords sends it."""
    data = base64.b64decode(record["Data"])
    return kpl.deaggregate(data) if kpl.is_aggregate(data) else [data]


@contextmanager
def scripted_kinesis(
    shards: int = 3, refuse: Refusal = lambda call, records: None
) -> Iterator[tuple[ScriptedKinesis, Any]]:
    """The server on a free port, and a boto3 client of it."""
    kinesis = ScriptedKinesis(shards, refuse)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = kinesis.answer(self.headers["X-Amz-Target"].partition(".")[2], body)
            if status == ANSWER_LOST[0]:
                self.close_connection = True
                return
            encoded = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield kinesis, kinesis_client(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()


def kinesis_client(endpoint: str) -> Any:
    """A client without retries of its own, as the producer's is."""
    return boto3.client(
        "kinesis",
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=5),
    )
