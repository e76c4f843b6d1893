"""The objects of the exchange: their keys, and what may be in them. Both sides of the border check with this."""

import io
import re
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts import names
from contracts.columns import Privacy
from contracts.derived import DEVICE_TYPES, UTILISATION_DAY, UTILISATION_DAY_SCHEMA
from contracts.errors import ReleaseRefused
from release.policy import ALL, COUNT_STEP

RELEASE = "utilisation_day"
_KEY = re.compile(r"region=([a-z][a-z0-9]{0,15})/([a-z_]+)/day=(\d{4}-\d\d-\d\d)/data\.parquet")
_COUNTS = ("cohort", "devices")
_SUMS = ("records", "engine_h", "moving_h", "distance_km")


@dataclass(frozen=True, slots=True)
class ReleaseKey:
    """Which release an object holds."""

    region: str
    release: str
    day: date

    @property
    def key(self) -> str:
        """Object key in the exchange bucket: one object a region, release and day, replaced when restated."""
        return f"{names.exchange_prefix(self.region)}{self.release}/day={self.day.isoformat()}/data.parquet"


def parse_key(key: str) -> ReleaseKey:
    """What an object key names. Raises ReleaseRefused for any other key."""
    match = _KEY.fullmatch(key)
    if match is None or match[2] != RELEASE:
        raise ReleaseRefused(f"{key} is not the key of a release; remove the object")
    try:
        return ReleaseKey(match[1], match[2], date.fromisoformat(match[3]))
    except ValueError:
        raise ReleaseRefused(f"{key} names no day; remove the object") from None


def encode(table: pa.Table) -> bytes:
    """The table as Parquet; the same rows give the same bytes."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def decode(data: bytes, name: str) -> pa.Table:
    """The table of an object. Raises ReleaseRefused where it is not Parquet."""
    try:
        return pq.read_table(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError):
        raise ReleaseRefused(f"{name} is not Parquet; publish it again") from None


def checked(table: pa.Table, of: ReleaseKey) -> pa.Table:
    """The table, in the contract's schema, once it holds nothing that may not leave the region `of.region`.

    Raises ReleaseRefused that names the column, never its values.
    """
    _check_columns(table.schema, of)
    table = table.select(UTILISATION_DAY_SCHEMA.names)
    _check_values(table, of)
    return table.cast(UTILISATION_DAY_SCHEMA)


def _check_columns(schema: pa.Schema, of: ReleaseKey) -> None:
    allowed = {column.name: column for column in UTILISATION_DAY if column.privacy is Privacy.AGGREGATE}
    for field in schema:
        if field.name not in allowed:
            raise ReleaseRefused(f"{of.key}: column {field.name!r} is not an aggregate of {of.release}; leave it out")
        if field.type != allowed[field.name].type:
            raise ReleaseRefused(f"{of.key}: column {field.name!r} is {field.type}, not {allowed[field.name].type}")
    missing = allowed.keys() - set(schema.names)
    if missing or len(schema.names) != len(allowed):
        raise ReleaseRefused(f"{of.key}: columns {sorted(missing)} are missing or some stand twice")


def _check_values(table: pa.Table, of: ReleaseKey) -> None:
    closed = {"region": [of.region], "day": [of.day], "device_type": [ALL, *DEVICE_TYPES]}
    for name, vocabulary in closed.items():
        known = pa.array(vocabulary, table.schema.field(name).type)
        _refuse_unless(pc.is_in(table[name], known), of, f"column {name!r} holds a value outside its vocabulary")
    if pc.count_distinct(table["device_type"]).as_py() != table.num_rows:
        raise ReleaseRefused(f"{of.key}: a device_type stands twice")
    for name in (*_COUNTS, *_SUMS):
        _refuse_unless(pc.greater_equal(table[name], 0), of, f"column {name!r} holds no amount")
    for name in _COUNTS:
        whole = pc.multiply(pc.divide(table[name], COUNT_STEP), COUNT_STEP)
        _refuse_unless(pc.equal(whole, table[name]), of, f"column {name!r} is not rounded to {COUNT_STEP}")


def _refuse_unless(holds: pa.ChunkedArray, of: ReleaseKey, fault: str) -> None:
    if not pc.all(pc.fill_null(holds, False), min_count=0).as_py():
        raise ReleaseRefused(f"{of.key}: {fault}")
