"""Records of several stores as one list, each identity once."""

from collections.abc import Iterator
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from contracts.identity import IDENTITY
from contracts.names import SEQUENCE_DIGITS
from lake.trail.model import Sources

HISTORY, LANDING, LIVE = 0, 1, 2
SOURCE, _ORDER = "_source", "_order"
ORDER = [("device_id", "ascending"), ("ts", "ascending"), ("record_id", "ascending")]
"""Records of a trail are sorted by these. A record without a record_id stands behind the others of its moment."""
_FIRST_ARRIVAL = [
    ("device_id", "ascending"),
    ("ts", "ascending"),
    ("record_id", "ascending"),
    ("arrival_ts", "ascending"),
    ("shard_id", "ascending"),
    (_ORDER, "ascending"),
    ("sub_sequence", "ascending"),
    (SOURCE, "ascending"),
]


def union(history: pa.Table, landing: pa.Table, live: pa.Table) -> tuple[pa.Table, Sources]:
    """Records, each identity once, in ORDER; and how many came from where. See `joined`."""
    return told_apart(joined(history, landing, live))


def joined(history: pa.Table, landing: pa.Table, live: pa.Table) -> pa.Table:
    """Records, each identity once, in ORDER, with a column SOURCE.

    All three have LANDING_SCHEMA's columns. Of copies the one that arrived first stays, as in history's merge; where
    history has that very row, it counts as history's. A live record whose record_id Redis does not hold is new where
    no stored record of its device has its ts.
    """
    stored = pa.concat_tables([_from(history, HISTORY), _from(landing, LANDING)])
    stored = _first_arrivals(stored)
    fresh = _from(_unstored(live, stored), LIVE)
    return pa.concat_tables([stored, fresh]).sort_by(ORDER)


def told_apart(rows: pa.Table) -> tuple[pa.Table, Sources]:
    """The rows of `joined` without SOURCE, and how many came from where."""
    counts = {row["values"]: row["counts"] for row in pc.value_counts(rows.column(SOURCE)).to_pylist()}
    sources = Sources(history=counts.get(HISTORY, 0), landing=counts.get(LANDING, 0), live=counts.get(LIVE, 0))
    return rows.drop_columns([SOURCE]), sources


def _from(rows: pa.Table, source: int) -> pa.Table:
    return rows.append_column(SOURCE, pa.array([source] * rows.num_rows, pa.int8()))


def _first_arrivals(rows: pa.Table) -> pa.Table:
    if rows.num_rows < 2:  # noqa: PLR2004 - nothing to compare
        return rows
    padded = pc.utf8_lpad(rows.column("sequence_number"), SEQUENCE_DIGITS, "0")
    ordered = rows.append_column(_ORDER, padded).sort_by(_FIRST_ARRIVAL).drop_columns([_ORDER]).combine_chunks()
    before, after = ordered.slice(0, ordered.num_rows - 1), ordered.slice(1)
    same = reduce(pc.and_, (pc.equal(before.column(name), after.column(name)) for name in IDENTITY))
    first = pa.concat_arrays([pa.array([True]), *pc.invert(same).chunks])
    return ordered.filter(first)


def _unstored(live: pa.Table, stored: pa.Table) -> pa.Table:
    """The live records that no stored one is. Live state holds few, so they are compared one by one."""
    if not live.num_rows or not stored.num_rows:
        return live
    at_same_time = stored.filter(pc.is_in(stored.column("ts"), value_set=live.column("ts").combine_chunks()))
    identities = set(_identities(at_same_time))
    moments = {(device, ts) for device, ts, _ in identities}
    new = [
        (device, ts) not in moments if record_id is None else (device, ts, record_id) not in identities
        for device, ts, record_id in _identities(live)
    ]
    return live.filter(pa.array(new, pa.bool_()))


def _identities(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(rows.column(name).to_pylist() for name in IDENTITY), strict=True)
