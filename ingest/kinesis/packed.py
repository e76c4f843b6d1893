"""The records of a response in columns, read by compiled code. Importing this loads numba."""

import base64
from collections.abc import Sequence
from functools import cache

import numpy as np

from ingest.batch import KinesisRecord
from ingest.compiled.response import RecordBuffers, read_records
from ingest.compiled.texts import text_buffers, text_column
from ingest.compiled.tokens import POWERS
from ingest.records import PADDING, PackedRecords, Payloads

_RECORDS = b'"Records":'
_SHORTEST_RECORD = len('{"SequenceNumber":"","ApproximateArrivalTimestamp":0,"Data":"","PartitionKey":""}')
_NO_SEXTET = 255


@cache
def compile_reader() -> None:
    """Compile the reader, or load it from the cache; see ingest.decode.plain.compile_reader."""
    read_records(np.frombuffer(b"[]", np.uint8), 0, _output_buffers(1, 0))


def packed(body: bytes) -> tuple[Sequence[KinesisRecord], int, int] | None:
    """The records of a body, and where their list begins and ends in the body; None if they are not plain."""
    # Quotes within a text are escaped, so only a key can look like this.
    start = body.find(_RECORDS) + len(_RECORDS)
    if start < len(_RECORDS):
        return None
    # CPython ends every bytes object with a 0, which stops the compiled reader.
    buf = np.frombuffer(body, np.uint8)
    out = _output_buffers(len(body) // _SHORTEST_RECORD + 1, len(body))
    found, end = read_records(buf, start, out)
    if end < 0 or not found or body.find(_RECORDS, end) >= 0:
        return None
    starts = out.starts[: found + 1].copy()
    # The compiled readers are compiled for read-only input, as bytes objects are.
    out.buf.flags.writeable = False
    records = PackedRecords(
        Payloads(out.buf, starts[:-1], starts[1:] - 1),
        text_column(out.sequence_numbers, found),
        text_column(out.partition_keys, found),
        out.arrivals_s[:found].copy(),
    )
    return records, start, int(end)


def _output_buffers(count: int, size: int) -> RecordBuffers:
    starts = np.empty(count + 1, np.int64)
    starts[0] = 0
    return RecordBuffers(
        # Four base64 characters become three bytes; the 0 after each record takes less than the rest of its JSON.
        buf=np.empty(size * 3 // 4 + len(PADDING), np.uint8),
        starts=starts,
        sequence_numbers=text_buffers(count, size),
        partition_keys=text_buffers(count, size),
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
