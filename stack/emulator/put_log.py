"""A log of the records that Kinesis acknowledged: where the emulator keeps them.

ministack keeps streams in memory. What a PutRecord or PutRecords accepted is appended to a file here before its answer
leaves, and memory keeps where in the file the bytes are. So a stream may be larger than memory, a snapshot need not
have its records, and a killed emulator starts again with them, with the same sequence numbers and arrival times. The
file is not synced: a killed process loses nothing, a power failure seconds.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

_PREFIX = "puts-"
_OK = 200
_SEGMENT_S = 3_600.0
_HOUR_S = 3_600.0
_A_LINE = 500
_PREFIX_BYTES = 64
"""Of data, by which it is found in its line."""


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


class Segment:
    """One file of the log, open as long as a record of it is kept."""

    def __init__(self, path: Path, *, new: bool = False) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | (os.O_CREAT if new else 0), 0o600)
        self.size = os.fstat(self._file).st_size

    def __del__(self) -> None:
        """Close the file."""
        with contextlib.suppress(AttributeError, OSError):
            os.close(self._file)

    def append(self, line: bytes) -> int:
        """Where the line begins. Raises OSError where the disk is full; nothing of the line is left then."""
        start, rest = self.size, memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, start)
            raise
        self.size = start + len(line)
        return start

    def read(self, start: int, length: int) -> str:
        """The text there."""
        return os.pread(self._file, length, start).decode("ascii")

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Each line and where it begins."""
        start = 0
        with self.path.open("rb") as file:
            for line in file:
                yield start, line
                start += len(line)


class LoggedRecord:
    """A record as ministack's handlers read it, whose data is in the log."""

    __slots__ = ("_arrival_s", "_length", "_number", "_partition_key", "_segment", "_start")

    def __init__(self, put: Put, segment: Segment, start: int) -> None:
        self._number, self._arrival_s, self._partition_key = put.sequence_number, put.arrival_s, put.partition_key
        self._segment, self._start, self._length = segment, start, len(put.data)

    def __getitem__(self, name: str) -> Any:
        """A field by the name that Kinesis gives it. Raises KeyError."""
        match name:
            case "SequenceNumber":
                return self._number
            case "ApproximateArrivalTimestamp":
                return self._arrival_s
            case "PartitionKey":
                return self._partition_key
            case "Data":
                return self._segment.read(self._start, self._length)
        raise KeyError(name)


class PutLog:
    """Segments of the log in a folder, each of an hour.

    Promises
    - A record that was acknowledged is in a segment that is not removed before the stream's retention has passed,
      whenever the server dies.
    - After a start the shards hold each of them once and in the order of its sequence number.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = max(map(_number_of, self._paths()), default=0)
        self._segment: Segment | None = None
        self._full_at_s = 0.0
        self._kinesis: Any = None
        self._issued: list[str] = []
        self._last_ms = self._count = 0
        self._left_out: list[Any] = []

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

    def leave_out_records(self) -> None:
        """Take the records out of the shards, for the snapshot of a process that does nothing else any more.

        They are kept: to free them would touch, and in a fork copy, the memory of each.
        """
        for stream in self._streams().values():
            for shard in stream["shards"].values():
                self._left_out.append(shard["records"])
                shard["records"] = []

    def cut(self) -> Segment:
        """Begin a segment, and remove those of which every record has expired."""
        self._number += 1
        self._segment = segment = Segment(self._folder / f"{_PREFIX}{self._number:012d}", new=True)
        self._full_at_s = time.monotonic() + _SEGMENT_S
        kept_s = _HOUR_S * max((stream["RetentionPeriodHours"] for stream in self._streams().values()), default=0)
        for path in self._paths():
            if path != segment.path and path.stat().st_mtime < time.time() - kept_s - _HOUR_S:
                path.unlink(missing_ok=True)
        return segment

    def replay(self) -> int:
        """Put back what the snapshot does not have; how many records."""
        streams, restored = self._streams(), 0
        self._log_records_of(streams)
        for path in sorted(self._paths(), key=_number_of):
            segment = Segment(path)
            for start, line in segment.lines():
                with contextlib.suppress(msgspec.DecodeError):  # A last line that is cut off was never acknowledged.
                    puts = msgspec.json.decode(line, type=Puts)
                    restored += self._restore(streams.get(puts.scope), puts, _kept(puts.puts, line, segment, start))
        for stream in streams.values():
            for shard in stream["shards"].values():
                self._raise_to(shard["starting_sequence_number"])
                if shard["records"]:
                    self._raise_to(shard["records"][-1]["SequenceNumber"])
        return restored

    def _log_records_of(self, streams: Mapping[tuple[str, str, str], Any]) -> None:
        """Log what a snapshot of an earlier version has, in a segment before all others."""
        path = self._folder / f"{_PREFIX}{0:012d}"
        found = [
            (scope, stream, shard_id, shard)
            for scope, stream in streams.items()
            for shard_id, shard in stream["shards"].items()
            if shard["records"]
        ]
        if not found:
            return
        part = path.with_name("part")
        part.unlink(missing_ok=True)
        segment = Segment(part, new=True)
        for scope, stream, shard_id, shard in found:
            for first in range(0, len(shard["records"]), _A_LINE):
                puts = [_put(shard_id, record) for record in shard["records"][first : first + _A_LINE]]
                segment.append(msgspec.json.encode(Puts(scope, stream["CreationTimestamp"], puts)) + b"\n")
            shard["records"] = []
        part.replace(path)

    def _restore(self, stream: Mapping[str, Any] | None, puts: Puts, records: Iterable[Any]) -> int:
        if stream is None or stream["CreationTimestamp"] != puts.created:
            return 0
        restored, expired_s = 0, time.time() - _HOUR_S * stream["RetentionPeriodHours"]
        for put, record in zip(puts.puts, records, strict=True):
            shard = self._shard(stream, put)
            there = shard["records"] and shard["records"][-1]["SequenceNumber"] >= put.sequence_number
            if there or put.arrival_s < expired_s:
                continue
            shard["records"].append(record)
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
        found = [
            (_put(shard_id, shard["records"][place]), shard["records"], place)
            for shard_id, shard in stream["shards"].items()
            for place in _newest(shard["records"], issued)
        ]
        found.sort(key=lambda one: one[0].sequence_number)
        puts = [put for put, _, _ in found]
        scope = (self._kinesis.get_account_id(), self._kinesis.get_region(), name)
        line = msgspec.json.encode(Puts(scope, stream["CreationTimestamp"], puts)) + b"\n"
        # Where the disk is full this raises, and the request is answered with an error.
        segment = self._segment_now()
        start = segment.append(line)
        for (_, records, place), record in zip(found, _kept(puts, line, segment, start), strict=True):
            records[place] = record

    def _segment_now(self) -> Segment:
        now = self._segment
        return self.cut() if now is None or time.monotonic() >= self._full_at_s else now

    def _next_number(self) -> str:
        """As ministack's, and never below one that was given before, by an earlier process or a clock set back."""
        self._last_ms = max(self._last_ms, int(time.time() * 1000))
        self._count += 1
        number = f"{self._last_ms:020d}{self._count:010d}"
        self._issued.append(number)
        return number

    def _raise_to(self, sequence_number: str) -> None:
        self._last_ms = max(self._last_ms, int(sequence_number[:20]) + 1)

    def _streams(self) -> dict[tuple[str, str, str], Any]:
        return dict(self._kinesis._streams.all_items())

    def _paths(self) -> list[Path]:
        return list(self._folder.glob(f"{_PREFIX}*"))


def _newest(records: list[Any], issued: set[str]) -> Iterator[int]:
    """Places of the records at the shard's end that have these numbers, first to last."""
    place = len(records)
    while place and records[place - 1]["SequenceNumber"] in issued:
        place -= 1
    return iter(range(place, len(records)))


def _put(shard_id: str, record: Mapping[str, Any]) -> Put:
    return Put(
        shard_id,
        record["SequenceNumber"],
        record["ApproximateArrivalTimestamp"],
        record["PartitionKey"],
        record["Data"],
    )


def _kept(puts: Iterable[Put], line: bytes, segment: Segment, start: int) -> Iterator[Any]:
    """The records of a line as they are kept: without their data, but where that is not in the line as it is."""
    place = 0
    for put in puts:
        data = put.data.encode()
        found = line.find(data[:_PREFIX_BYTES], place)
        if not line.startswith(data, max(0, found)):
            yield {
                "SequenceNumber": put.sequence_number,
                "ApproximateArrivalTimestamp": put.arrival_s,
                "Data": put.data,
                "PartitionKey": put.partition_key,
            }
            continue
        place = found + len(data)
        yield LoggedRecord(put, segment, start + found)


def _number_of(path: Path) -> int:
    return int(path.name.removeprefix(_PREFIX))
