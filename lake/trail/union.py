"""Records of several stores as one list, each identity once."""

import pyarrow as pa
import pyarrow.compute as pc

from contracts.names import SEQUENCE_DIGITS
from lake.trail.model import Sources

HISTORY, LANDING, LIVE = 0, 1, 2
_SOURCE, _ORDER = "_source", "_order"
_FIRST_ARRIVAL = [
    ("ts", "ascending"),
    ("record_id", "ascending"),
    ("arrival_ts", "ascending"),
    ("shard_id", "ascending"),
    (_ORDER, "ascending"),
    ("sub_sequence", "ascending"),
    (_SOURCE, "ascending"),
]


def union(history: pa.Table, landing: pa.Table, live: pa.Table) -> tuple[pa.Table, Sources]:
    """One device's records, each identity once, sorted by ts and record_id; and how many came from where.

    All three have LANDING_SCHEMA's columns and hold one device. Of copies the one that arrived first stays, as in
    history's merge; where history has that very row, it counts as history's. A live record whose record_id Redis
    does not hold is new where no stored record has its ts.
    """
    stored = pa.concat_tables([_from(history, HISTORY), _from(landing, LANDING)])
    stored = _first_arrivals(stored)
    fresh = _from(_unstored(live, stored), LIVE)
    together = pa.concat_tables([stored, fresh]).sort_by([("ts", "ascending"), ("record_id", "ascending")])
    counts = {row["values"]: row["counts"] for row in pc.value_counts(together.column(_SOURCE)).to_pylist()}
    sources = Sources(history=counts.get(HISTORY, 0), landing=counts.get(LANDING, 0), live=counts.get(LIVE, 0))
    return together.drop_columns([_SOURCE]), sources


def _from(rows: pa.Table, source: int) -> pa.Table:
    return rows.append_column(_SOURCE, pa.array([source] * rows.num_rows, pa.int8()))


def _first_arrivals(rows: pa.Table) -> pa.Table:
    if rows.num_rows < 2:  # noqa: PLR2004 - nothing to compare
        return rows
    padded = pc.utf8_lpad(rows.column("sequence_number"), SEQUENCE_DIGITS, "0")
    ordered = rows.append_column(_ORDER, padded).sort_by(_FIRST_ARRIVAL).drop_columns([_ORDER]).combine_chunks()
    before, after = ordered.slice(0, ordered.num_rows - 1), ordered.slice(1)
    same = pc.and_(
        pc.equal(before.column("ts"), after.column("ts")),
        pc.equal(before.column("record_id"), after.column("record_id")),
    )
    first = pa.concat_arrays([pa.array([True]), *pc.invert(same).chunks])
    return ordered.filter(first)


def _unstored(live: pa.Table, stored: pa.Table) -> pa.Table:
    if not live.num_rows or not stored.num_rows:
        return live
    known_ts = pc.is_in(live.column("ts"), value_set=stored.column("ts").combine_chunks())
    known_id = pc.is_in(live.column("record_id"), value_set=stored.column("record_id").combine_chunks())
    unnamed = pc.is_null(live.column("record_id"))
    return live.filter(pc.invert(pc.and_(known_ts, pc.or_(unnamed, known_id))))
