"""Which rows of an object a scope means, and the object without them."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec.structs import replace

from contracts.columns import in_schema
from contracts.erasable import Scope
from contracts.errors import FleetlakeError
from contracts.ledger import LANDED, LandedObject, hour_of
from contracts.names import GZIP, ZSTD, rewritten_key
from contracts.packing import BadPacking, decompressed
from contracts.parquet import landed_bytes, rejected_bytes
from contracts.record import LANDING_SCHEMA, REJECTED_SCHEMA
from lake.merge.spans import on_time_span

_TIMES = ["device_id", "ts"]


class Unreadable(FleetlakeError):
    """An object is no Parquet of ours: whether it names the scope cannot be said."""


def meant_rows(scope: Scope, kind: str, data: bytes) -> pa.ChunkedArray:
    """Which rows of an object are meant. kind: LANDED, by columns; else rejected bytes, decoded. Raises Unreadable."""
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        if kind != LANDED:
            return _meant_rejects(scope, file.read(columns=["data", "partition_key"]))
        if not any(True for _ in groups_that_may_hold(file, scope.devices)):
            return pa.chunked_array([pa.repeat(pa.scalar(False), file.metadata.num_rows)])
        rows = file.read(columns=_TIMES)
        return scope.mask(rows["device_id"], rows["ts"])
    except (pa.ArrowException, OSError) as error:
        raise Unreadable(f"an object cannot be decoded ({type(error).__name__}); look at ops.set_aside") from None


def groups_that_may_hold(file: pq.ParquetFile, devices: tuple[str, ...]) -> Iterator[int]:
    """The row groups whose statistics of device_id leave room for one of the devices."""
    names = file.schema_arrow.names
    if "device_id" not in names:
        return
    place = next(at for at in range(len(file.schema)) if file.schema.column(at).path == "device_id")
    for group in range(file.metadata.num_row_groups):
        bounds = file.metadata.row_group(group).column(place).statistics
        if bounds is None or not bounds.has_min_max or any(bounds.min <= one <= bounds.max for one in devices):
            yield group


def without(scope: Scope, listed: LandedObject, data: bytes) -> tuple[LandedObject, bytes, pa.Table] | None:
    """The object without the rows that are meant, its bytes, and the rows left; None where none is meant."""
    meant = meant_rows(scope, listed.kind, data)
    if not pc.any(meant).as_py():
        return None
    schema = LANDING_SCHEMA if listed.kind == LANDED else REJECTED_SCHEMA
    file = pq.ParquetFile(pa.BufferReader(data))
    about = {name.decode(): value.decode() for name, value in (file.schema_arrow.metadata or {}).items() if _own(name)}
    rows = in_schema(file.read(), schema).filter(pc.invert(meant)).combine_chunks()
    made = landed_bytes(rows, about) if listed.kind == LANDED else rejected_bytes(rows, about)
    return _described(listed, rows, made), made, rows


def _own(name: bytes) -> bool:
    return not name.startswith((b"ARROW:", b"PARQUET:", b"org.apache"))


def _described(listed: LandedObject, rows: pa.Table, data: bytes) -> LandedObject:
    made = replace(
        listed,
        key=rewritten_key(listed.key),
        rows=rows.num_rows,
        bytes=len(data),
        sha256=sha256(data).hexdigest(),
    )
    if listed.kind != LANDED:
        return made
    if not rows.num_rows:
        return replace(made, min_ts_ms=None, max_ts_ms=None, stragglers=0)
    span, ts = on_time_span(hour_of(listed.hour_ms)), rows["ts"]
    late = pc.or_(pc.less(ts, pa.scalar(span.start, ts.type)), pc.greater_equal(ts, pa.scalar(span.end, ts.type)))
    low, high = (_ms(bound.as_py()) for bound in (pc.min(ts), pc.max(ts)))
    return replace(made, min_ts_ms=low, max_ts_ms=high, stragglers=int(pc.sum(late).as_py() or 0))


def _ms(moment: Any) -> int:
    return int(moment.timestamp() * 1000)


def _meant_rejects(scope: Scope, rows: pa.Table) -> pa.ChunkedArray:
    """A rejected record has no columns: what names the device anywhere in its bytes, unpacked, or by its key."""
    if not rows.num_rows:
        return pa.chunked_array([pa.array([], pa.bool_())])
    keyed = scope.needles.rows_in(rows["partition_key"])
    return pc.or_(keyed, scope.needles.rows_in(pa.chunked_array([[unpacked(one) for one in rows["data"].to_pylist()]])))


def unpacked(data: bytes | None) -> bytes:
    """A record's bytes, decompressed where they are packed; both where it is not certain."""
    if not data:
        return b""
    try:
        inner = decompressed(data, (GZIP, ZSTD))
    except BadPacking:
        return data
    return data if inner is data else data + b"\n" + inner
