"""Bytes as what they are: Parquet by values, statistics and metadata, Avro by its blocks, compressed text unpacked.

A search of raw bytes misses what is compressed or encoded, so everything is decoded first; the rest is searched raw.
"""

import bz2
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.names import GZIP, ZSTD
from contracts.packing import BadPacking, decompressed

_PARQUET, _AVRO, _ZIP = b"PAR1", b"Obj\x01", b"PK\x03\x04"
_MOST_ROWS = 50_000
"""Rows that are decoded together."""


def decoded(name: str, data: bytes) -> Iterator[bytes]:
    """All texts in an object, as bytes in which a name stands as it is written."""
    if data.startswith(_PARQUET) and data.endswith(_PARQUET):
        yield from _parquet(data)
    elif data.startswith(_AVRO):
        yield from _avro(data)
    elif data.startswith(_ZIP):
        yield from _zip(data)
    elif name.endswith(".gz") or data.startswith(b"\x1f\x8b"):
        yield from decoded(name.removesuffix(".gz"), gzip.decompress(data))
    elif data.startswith(b"BZh"):
        yield from decoded("", bz2.decompress(data))
    else:
        yield data


def _parquet(data: bytes) -> Iterator[bytes]:
    file = pq.ParquetFile(pa.BufferReader(data))
    metadata = file.metadata
    yield json.dumps({str(name): repr(value) for name, value in (metadata.metadata or {}).items()}).encode()
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            bounds = metadata.row_group(group).column(column).statistics
            if bounds is not None and bounds.has_min_max:
                yield _text(bounds.min) + b"\n" + _text(bounds.max)
    for batch in file.iter_batches(_MOST_ROWS):
        for column in batch.columns:
            yield from _values(column)


def _values(column: pa.Array) -> Iterator[bytes]:
    """Texts and bytes of a column and of what is nested in it; numbers and times name nobody."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        yield from _values(column.dictionary)
    elif pa.types.is_map(kind):
        yield from _values(column.keys)
        yield from _values(column.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _values(column.flatten())
    elif pa.types.is_struct(kind):
        for part in column.flatten():
            yield from _values(part)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield "\n".join(value for value in column.unique().to_pylist() if value).encode()
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        for value in column.to_pylist():
            if value:
                yield value
                yield from _unpacked(value)


def _unpacked(data: bytes) -> Iterator[bytes]:
    try:
        inner = decompressed(data, (GZIP, ZSTD))
    except BadPacking:
        return
    if inner is not data:
        yield inner


def _text(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _zip(data: bytes) -> Iterator[bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            yield name.encode()
            yield from decoded(name, archive.read(name))


def _avro(data: bytes) -> Iterator[bytes]:
    """An object container file (Avro 1.11, "Object Container Files"): its metadata, and its blocks decompressed."""
    place, metadata = _avro_header(data)
    yield b"\n".join([*metadata.keys(), *metadata.values()])
    codec = metadata.get(b"avro.codec", b"null")
    while place < len(data):
        _, place = _long(data, place)
        size, place = _long(data, place)
        block = data[place : place + size]
        yield zlib.decompress(block, -15) if codec == b"deflate" else _avro_block(block, codec)
        place += size + 16


def _avro_block(block: bytes, codec: bytes) -> bytes:
    if codec == b"zstandard":
        with pa.CompressedInputStream(pa.BufferReader(block), "zstd") as stream:
            return bytes(stream.read())
    if codec == b"snappy":
        raise ValueError("Avro blocks in snappy are not decoded")
    return block


def _avro_header(data: bytes) -> tuple[int, dict[bytes, bytes]]:
    place, metadata = 4, dict[bytes, bytes]()
    while True:
        count, place = _long(data, place)
        if count == 0:
            return place + 16, metadata
        if count < 0:
            count, (_, place) = -count, _long(data, place)
        for _ in range(count):
            size, place = _long(data, place)
            name, place = data[place : place + size], place + size
            size, place = _long(data, place)
            metadata[name], place = data[place : place + size], place + size


def _long(data: bytes, place: int) -> tuple[int, int]:
    """A zigzag variable-length integer, and the place after it."""
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), place
        shift += 7
