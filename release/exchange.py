"""The objects of the exchange: their keys, and what may be in them. Both sides of the border check with this."""

import io
import re
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts import names
from contracts.columns import Column, Privacy, schema_of
from contracts.derived import (
    CUSTOMER_DAY,
    CUSTOMER_PATTERN,
    DEVICE_TYPES,
    PUBLISHED,
    UTILISATION_DAY,
    WITHHELD,
)
from contracts.errors import ReleaseRefused
from release.policy import ALL, COUNT_STEP

_KEY = re.compile(r"region=([a-z][a-z0-9]{0,15})/([a-z_]+)/day=(\d{4}-\d\d-\d\d)/data\.parquet")
_COUNTS = ("cohort", "devices")
_SUMS = ("records", "engine_h", "moving_h", "distance_km")


@dataclass(frozen=True, slots=True)
class Release:
    """What may leave a region under one name: a cell for each value of one dimension."""

    name: str
    columns: tuple[Column, ...]
    dimension: str
    words: str
    """The pattern of the dimension's values."""
    total: bool
    """Whether there is a cell over all of them."""

    @property
    def schema(self) -> pa.Schema:
        """The columns of its objects, and of the world's table of its name."""
        return schema_of(self.columns)


UTILISATION = Release("utilisation_day", UTILISATION_DAY, "device_type", "|".join([ALL, *DEVICE_TYPES]), total=True)
CUSTOMERS = Release("customer_day", CUSTOMER_DAY, "customer", CUSTOMER_PATTERN, total=False)
RELEASES = {release.name: release for release in (UTILISATION, CUSTOMERS)}
RELEASE = UTILISATION.name


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
    if match is None or match[2] not in RELEASES:
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
    release = RELEASES[of.release]
    table = _with_status(table)
    _check_columns(table.schema, of, release)
    table = table.select(release.schema.names)
    _check_values(table, of, release)
    return table.cast(release.schema)


def _with_status(table: pa.Table) -> pa.Table:
    """An object of before withheld cells were named holds published ones alone."""
    if "status" in table.column_names or "cohort" not in table.column_names:
        return table
    return table.append_column("status", pa.repeat(pa.scalar(PUBLISHED), table.num_rows))


def _check_columns(schema: pa.Schema, of: ReleaseKey, release: Release) -> None:
    allowed = {column.name: column for column in release.columns if column.privacy is Privacy.AGGREGATE}
    for field in schema:
        if field.name not in allowed:
            raise ReleaseRefused(f"{of.key}: column {field.name!r} is not an aggregate of {of.release}; leave it out")
        if field.type != allowed[field.name].type:
            raise ReleaseRefused(f"{of.key}: column {field.name!r} is {field.type}, not {allowed[field.name].type}")
    missing = allowed.keys() - set(schema.names)
    if missing or len(schema.names) != len(allowed):
        raise ReleaseRefused(f"{of.key}: columns {sorted(missing)} are missing or some stand twice")


def _check_values(table: pa.Table, of: ReleaseKey, release: Release) -> None:
    closed = {"region": [of.region], "day": [of.day], "status": [PUBLISHED, WITHHELD]}
    for name, vocabulary in closed.items():
        known = pa.array(vocabulary, table.schema.field(name).type)
        _refuse_unless(pc.is_in(table[name], known), of, f"column {name!r} holds a value outside its vocabulary")
    words = pc.match_substring_regex(table[release.dimension], f"^({release.words})$")
    _refuse_unless(words, of, f"column {release.dimension!r} holds a value outside its vocabulary")
    if pc.count_distinct(table[release.dimension]).as_py() != table.num_rows:
        raise ReleaseRefused(f"{of.key}: a {release.dimension} stands twice")
    published = pc.equal(table["status"], PUBLISHED)
    for name in (*_COUNTS, *_SUMS):
        of_withheld = table.filter(pc.invert(published))[name]
        _refuse_unless(pc.is_null(of_withheld), of, f"column {name!r} holds a value of a withheld cell")
    table = table.filter(published)
    for name in (*_COUNTS, *_SUMS):
        _refuse_unless(pc.greater_equal(table[name], 0), of, f"column {name!r} holds no amount")
    for name in _COUNTS:
        whole = pc.multiply(pc.divide(table[name], COUNT_STEP), COUNT_STEP)
        _refuse_unless(pc.equal(whole, table[name]), of, f"column {name!r} is not rounded to {COUNT_STEP}")


def _refuse_unless(holds: pa.ChunkedArray, of: ReleaseKey, fault: str) -> None:
    if not pc.all(pc.fill_null(holds, False), min_count=0).as_py():
        raise ReleaseRefused(f"{of.key}: {fault}")
