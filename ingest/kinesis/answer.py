"""An answer with records: these side by side, whatever else it says by msgspec."""

import base64
from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol, TypeVar

import numpy as np

from ingest.batch import KinesisRecord
from ingest.compiled.answer import RecordRoom, read_records
from ingest.compiled.texts import text_column, text_room
from ingest.compiled.tokens import POWERS
from ingest.records import PADDING, PackedRecords, Payloads

_RECORDS = b'"Records":'
_SHORTEST_RECORD = len('{"SequenceNumber":"","ApproximateArrivalTimestamp":0,"Data":"","PartitionKey":""}')
_NO_SEXTET = 255


class _Answer(Protocol):
    records: list[KinesisRecord]


_A = TypeVar("_A", bound=_Answer)


def decode_answer(body: bytes, decode: Callable[[bytes], _A]) -> tuple[_A, Sequence[KinesisRecord]]:
    """An answer that has `Records`, and these. decode: msgspec's for the whole. Raises what it raises.

    An answer as Kinesis writes it, all of it plain ASCII, is read in one pass, and what is decoded has no records;
    any other is decoded whole.
    """
    packed = _packed(body)
    if packed is None:
        answer = decode(body)
        return answer, answer.records
    records, start, end = packed
    return decode(b"%b[]%b" % (body[:start], body[end:])), records


@cache
def compile_reader() -> None:
    """Have the compiled code ready: see ingest.decode.plain.compile_reader."""
    read_records(np.frombuffer(b"[]", np.uint8), 0, _room(1, 0))


def _packed(body: bytes) -> tuple[Sequence[KinesisRecord], int, int] | None:
    """The records, and where their list begins and ends in the body; None where they are not plain."""
    # A key's quotes are never escaped, and a text's always are, so nothing but a key looks like this.
    start = body.find(_RECORDS) + len(_RECORDS)
    if start < len(_RECORDS):
        return None
    # Python ends all bytes with a 0, where whatever is read letter by letter stops.
    letters = np.frombuffer(body, np.uint8)
    room = _room(len(body) // _SHORTEST_RECORD + 1, len(body))
    found, end = read_records(letters, start, room)
    if end < 0 or not found or body.find(_RECORDS, end) >= 0:
        return None
    starts = room.starts[: found + 1].copy()
    # As all that is read from: compiled code is made for the one or the other.
    room.letters.flags.writeable = False
    records = PackedRecords(
        Payloads(room.letters, starts[:-1], starts[1:] - 1),
        text_column(room.sequence_numbers, found),
        text_column(room.partition_keys, found),
        room.arrivals_s[:found].copy(),
    )
    return records, start, int(end)


def _room(count: int, size: int) -> RecordRoom:
    starts = np.empty(count + 1, np.int64)
    starts[0] = 0
    return RecordRoom(
        # Four letters stand for three bytes; the 0 after each record is less than the rest of its JSON.
        letters=np.empty(size * 3 // 4 + len(PADDING), np.uint8),
        starts=starts,
        sequence_numbers=text_room(count, size),
        partition_keys=text_room(count, size),
        arrivals_s=np.empty(count),
        sextets=_SEXTETS,
        powers=POWERS,
    )


def _sextets() -> np.ndarray:
    table = np.full(256, _NO_SEXTET, np.uint8)
    for value in range(64):
        table[base64.b64encode(bytes([value << 2]))[0]] = value
    return table


_SEXTETS = _sextets()
