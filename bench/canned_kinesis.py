"""A Kinesis that serves prepared answers, so that a benchmark measures the consumer and not an emulator.

It answers ListShards, DescribeStream, DescribeStreamSummary, GetShardIterator and GetRecords in JSON 1.1, for any
stream name, with up to RECORDS_A_READ Kinesis records or BYTES_A_READ a read, as Kinesis does, without checking
signatures. `Limit` is not looked at. A shard's last answer is empty with MillisBehindLatest 0.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator

import msgspec

from bench.payloads import PAYLOADS, Payload
from ingest.batch import KinesisRecord

RECORDS_A_READ = 10_000
BYTES_A_READ = 10_000_000
HASH_SPACE = 2**128
_SEQUENCE_BASE = 49_600_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000


class CannedShard:
    """The answers of one shard, as HTTP bodies by index."""

    def __init__(self, index: int, of: int, payloads: list[Payload], arrival_ms: int) -> None:
        self.shard_id = f"shardId-{index:012d}"
        # Each server has sequence numbers of its own, so that what two runs land is not the same objects.
        self._base = _SEQUENCE_BASE + index * 10**40 + arrival_ms * 10**20
        width = HASH_SPACE // of
        self.description = {
            "ShardId": self.shard_id,
            "HashKeyRange": {"StartingHashKey": str(index * width), "EndingHashKey": str((index + 1) * width - 1)},
            "SequenceNumberRange": {"StartingSequenceNumber": str(self._base)},
        }
        reads = list(_reads(payloads))
        self.bodies = [self._body(k, read, len(reads), arrival_ms) for k, read in enumerate(reads)]
        self.last = json.dumps(
            {"Records": [], "NextShardIterator": f"{self.shard_id}:{len(reads)}", "MillisBehindLatest": 0}
        ).encode()
        self._first = [self._base + k * RECORDS_A_READ for k in range(len(reads))]
        """Each read has sequence numbers of its own, the last of which may be left out."""

    def _body(self, read: int, payloads: list[Payload], reads: int, arrival_ms: int) -> bytes:
        first = self._base + read * RECORDS_A_READ
        records = [
            KinesisRecord.at(arrival_ms, str(first + place), payload.key, payload.data)
            for place, payload in enumerate(payloads)
        ]
        return msgspec.json.encode(
            {
                "Records": records,
                "NextShardIterator": f"{self.shard_id}:{read + 1}",
                "MillisBehindLatest": (reads - read) * 1000,
            }
        )

    def answer(self, index: int) -> bytes:
        """The body of the read at an iterator."""
        return self.bodies[index] if index < len(self.bodies) else self.last

    def index_after(self, sequence: int) -> int:
        """The read that follows the one that holds a sequence number."""
        return sum(first <= sequence for first in self._first)


def _reads(payloads: list[Payload]) -> Iterator[list[Payload]]:
    """The payloads of one answer each."""
    taken, size = list[Payload](), 0
    for payload in payloads:
        weight = len(payload.data) + len(payload.key)
        if taken and (len(taken) == RECORDS_A_READ or size + weight > BYTES_A_READ):
            yield taken
            taken, size = [], 0
        taken.append(payload)
        size += weight
    if taken:
        yield taken


class CannedKinesis(asyncio.Protocol):
    """One HTTP connection."""

    def __init__(self, shards: list[CannedShard]) -> None:
        self._shards = {shard.shard_id: shard for shard in shards}
        self._buffer = b""
        self._operations: dict[str, Callable[[dict[str, str]], bytes]] = {
            "GetRecords": self._get_records,
            "GetShardIterator": self._get_shard_iterator,
            "ListShards": lambda _: json.dumps({"Shards": self._descriptions()}).encode(),
            "DescribeStream": self._describe,
            "DescribeStreamSummary": self._describe,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer on."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each whole request that has arrived."""
        self._buffer += data
        while (request := self._next_request()) is not None:
            operation, body = request
            handler = self._operations.get(operation)
            answer = handler(body) if handler else json.dumps({"__type": "UnknownOperationException"}).encode()
            status = "200 OK" if handler else "400 Bad Request"
            head = (
                f"HTTP/1.1 {status}\r\nContent-Type: application/x-amz-json-1.1\r\n"
                f"x-amzn-RequestId: canned\r\nContent-Length: {len(answer)}\r\n\r\n"
            )
            self._transport.write(head.encode())
            self._transport.write(answer)

    def _next_request(self) -> tuple[str, dict[str, str]] | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in self._buffer[:end].decode().split("\r\n")[1:])
        }
        length = int(headers.get("content-length", "0"))
        if len(self._buffer) < end + 4 + length:
            return None
        body = self._buffer[end + 4 : end + 4 + length]
        self._buffer = self._buffer[end + 4 + length :]
        return headers.get("x-amz-target", "").rpartition(".")[2], json.loads(body or b"{}")

    def _get_records(self, request: dict[str, str]) -> bytes:
        shard_id, _, index = request["ShardIterator"].rpartition(":")
        return self._shards[shard_id].answer(int(index))

    def _get_shard_iterator(self, request: dict[str, str]) -> bytes:
        shard = self._shards[request["ShardId"]]
        after = request["ShardIteratorType"] == "AFTER_SEQUENCE_NUMBER"
        index = shard.index_after(int(request["StartingSequenceNumber"])) if after else 0
        return json.dumps({"ShardIterator": f"{shard.shard_id}:{index}"}).encode()

    def _descriptions(self) -> list[dict[str, object]]:
        return [shard.description for shard in self._shards.values()]

    def _describe(self, request: dict[str, str]) -> bytes:
        stream = {
            "StreamName": request.get("StreamName", "canned"),
            "StreamARN": "arn:aws:kinesis:eu-central-1:000000000000:stream/canned",
            "StreamStatus": "ACTIVE",
            "RetentionPeriodHours": 24,
            "EnhancedMonitoring": [],
            "OpenShardCount": len(self._shards),
            "StreamCreationTimestamp": 0,
            "HasMoreShards": False,
            "Shards": self._descriptions(),
        }
        return json.dumps({"StreamDescription": stream, "StreamDescriptionSummary": stream}).encode()


async def _serve(shards: list[CannedShard]) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: CannedKinesis(shards), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    """Make the answers, print the port on standard output, serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=48)
    parser.add_argument("--records", type=int, default=960_000, help="user records over all shards")
    parser.add_argument("--payload", choices=sorted(PAYLOADS), default="plain")
    options = parser.parse_args()
    arrival_ms = int(time.time() * 1000)
    make = PAYLOADS[options.payload]
    each = options.records // options.shards
    shards = [CannedShard(i, options.shards, make(i, each, arrival_ms), arrival_ms) for i in range(options.shards)]
    asyncio.run(_serve(shards))


if __name__ == "__main__":
    main()
