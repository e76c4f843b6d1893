"""The one MERGE shape.

Each of its parts was measured against what happens without it (docs/adr/0020):
- the source has one row for each identity, else equal rows are all inserted;
- WHEN MATCHED ... UPDATE, else Iceberg plans an append that detects no conflict and two merges at once insert twice;
- literal ranges of ts, else each merge opens all of history.
"""

from collections.abc import Sequence

from contracts.identity import IDENTITY
from contracts.names import SEQUENCE_DIGITS
from contracts.record import LANDING_SCHEMA
from lake.merge.spans import Span, sql_condition

_SET = ", ".join(f"t.{name} = s.{name}" for name in LANDING_SCHEMA.names)


def merge_statement(table: str, source: str, spans: Sequence[Span]) -> str:
    """SQL that merges the view `source` (one row for each identity, all within `spans`) into the region's history.

    Of rows with one identity the one that arrived first stays, in whatever order they are merged. `source` has all of
    the table's columns; those that the contract lacks are inserted, and left as they are where a row is replaced.
    """
    same = " AND ".join(f"t.{name} = s.{name}" for name in IDENTITY)
    return (
        f"MERGE INTO {table} t USING {source} s "
        f"ON {same} AND {sql_condition('t.ts', spans)} "
        f"WHEN MATCHED AND {_arrival('s')} < {_arrival('t')} THEN UPDATE SET {_SET} "
        "WHEN NOT MATCHED THEN INSERT *"
    )


def _arrival(alias: str) -> str:
    sequence = f"lpad({alias}.sequence_number, {SEQUENCE_DIGITS}, '0')"
    return f"struct({alias}.arrival_ts, {alias}.shard_id, {sequence}, {alias}.sub_sequence)"
