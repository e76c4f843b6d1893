"""A log of the records that Kinesis acknowledged, so that a killed emulator starts again with them.

ministack keeps streams in memory and a snapshot has them as of a moment. What a PutRecord or PutRecords accepted is
appended to a file here before its answer leaves; at start it is put back behind the snapshot's records, with the same
sequence numbers and arrival times. The file is not synced: a killed process loses nothing, a power failure seconds.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

_PREFIX = "puts-"
_OK = 200


class Put(msgspec.Struct, array_like=True):
    """One record as ministack keeps it, and its shard."""

    shard_id: str
    sequence_number: str
    arrival_s: float
    partition_key: str
    data: str


class Puts(msgspec.Struct, array_like=True):
    """What one request put. created: the stream's creation, which tells it from a later one of the same name."""

    scope: tuple[str, str, str]
    """Account, AWS region, stream."""
    created: float
    puts: list[Put]


class PutLog:
    """Segments of the log in a folder; each begins at a snapshot, and ends where the next one begins.

    Promises
    - A record that was acknowledged is in a snapshot or in a segment that is not removed, whenever the server dies.
    - After a start the shards hold both, each record once and in the order of its sequence number.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = max(map(_number_of, self._segments()), default=0)
        self._file = -1
        self._kinesis: Any = None
        self._issued: list[str] = []
        self._last_ms = self._count = 0

    def install(self) -> None:
        """Have ministack's Kinesis write what it accepts, and read it after its snapshot."""
        from ministack.services import kinesis

        self._kinesis = kinesis
        kinesis._next_sequence_number = self._next_number
        kinesis._put_record = self._logged(kinesis._put_record)
        kinesis._put_records = self._logged(kinesis._put_records)
        restore = kinesis.load_persisted_state

        def load(data: Any) -> None:
            restore(data)
            self.replay()

        kinesis.load_persisted_state = load
        self.cut()

    def cut(self) -> None:
        """Begin a segment: the snapshot that is made now has everything before it."""
        if self._file >= 0:
            os.close(self._file)
        self._number += 1
        path = self._folder / f"{_PREFIX}{self._number:012d}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def drop(self) -> None:
        """The snapshot since the last `cut` is complete: earlier segments are not needed any more."""
        for path in self._segments():
            if _number_of(path) < self._number:
                path.unlink(missing_ok=True)

    def replay(self) -> int:
        """Put back what the snapshot does not have; how many records."""
        restored = 0
        streams: dict[tuple[str, str, str], Any] = dict(self._kinesis._streams.all_items())
        for path in sorted(self._segments(), key=_number_of):
            for puts in _read(path):
                restored += self._restore(streams.get(puts.scope), puts)
        for stream in streams.values():
            for shard in stream["shards"].values():
                self._raise_to(shard["starting_sequence_number"])
                if shard["records"]:
                    self._raise_to(shard["records"][-1]["SequenceNumber"])
        return restored

    def _restore(self, stream: Mapping[str, Any] | None, puts: Puts) -> int:
        if stream is None or stream["CreationTimestamp"] != puts.created:
            return 0
        restored = 0
        for put in puts.puts:
            shard = self._shard(stream, put)
            if shard["records"] and shard["records"][-1]["SequenceNumber"] >= put.sequence_number:
                continue
            shard["records"].append(
                {
                    "SequenceNumber": put.sequence_number,
                    "ApproximateArrivalTimestamp": put.arrival_s,
                    "Data": put.data,
                    "PartitionKey": put.partition_key,
                }
            )
            restored += 1
        return restored

    def _shard(self, stream: Mapping[str, Any], put: Put) -> Any:
        """The record's shard; where a split or merge was lost with the server, the one that its key belongs to."""
        if put.shard_id not in stream["shards"]:
            shard_id = self._kinesis._route_to_shard(self._kinesis._partition_key_to_hash(put.partition_key), stream)
            return stream["shards"][shard_id]
        return stream["shards"][put.shard_id]

    def _logged(self, own: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
        """A handler that writes what it accepted before its answer leaves."""

        def handle(data: dict[str, Any]) -> Any:
            self._issued.clear()
            answer = own(data)
            if answer[0] == _OK and self._issued:
                self._write(data)
            return answer

        return handle

    def _write(self, data: Mapping[str, Any]) -> None:
        name, stream = self._kinesis._resolve_stream(data)
        issued = set(self._issued)
        puts = [put for shard_id, shard in stream["shards"].items() for put in _newest(shard_id, shard, issued)]
        puts.sort(key=lambda put: put.sequence_number)
        scope = (self._kinesis.get_account_id(), self._kinesis.get_region(), name)
        line = msgspec.json.encode(Puts(scope, stream["CreationTimestamp"], puts)) + b"\n"
        while line:
            # Where the disk is full this raises, and the request is answered with an error.
            line = line[os.write(self._file, line) :]

    def _next_number(self) -> str:
        """As ministack's, and never below one that was given before, by an earlier process or a clock set back."""
        self._last_ms = max(self._last_ms, int(time.time() * 1000))
        self._count += 1
        number = f"{self._last_ms:020d}{self._count:010d}"
        self._issued.append(number)
        return number

    def _raise_to(self, sequence_number: str) -> None:
        self._last_ms = max(self._last_ms, int(sequence_number[:20]) + 1)

    def _segments(self) -> list[Path]:
        return list(self._folder.glob(f"{_PREFIX}*"))


def _newest(shard_id: str, shard: Mapping[str, Any], issued: set[str]) -> Iterator[Put]:
    """The records at the shard's end that have these numbers."""
    for record in reversed(shard["records"]):
        if record["SequenceNumber"] not in issued:
            return
        yield Put(
            shard_id,
            record["SequenceNumber"],
            record["ApproximateArrivalTimestamp"],
            record["PartitionKey"],
            record["Data"],
        )


def _read(path: Path) -> Iterator[Puts]:
    """The segment's requests. A last line that is cut off was never acknowledged."""
    with path.open("rb") as file:
        for line in file:
            with contextlib.suppress(msgspec.DecodeError):
                yield msgspec.json.decode(line, type=Puts)


def _number_of(path: Path) -> int:
    return int(path.name.removeprefix(_PREFIX))
