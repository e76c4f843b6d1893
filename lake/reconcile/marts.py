"""R6: staging and the marts have, day by day, the rows and sums of history.device_day and history.trip."""

from datetime import date
from math import isclose

import pyarrow as pa

from lake.reconcile.model import Findings, named
from lake.reconcile.ops import SUMMED, Cell, Ops

_NOTHING = Cell(rows=0, records=0, sums=())
_TOLERANCE = 1e-9
"""Sums of floating-point numbers differ in their last digits with the order of adding."""


def check_marts(tables: dict[str, pa.Table], ops: Ops, moving: set[date], findings: Findings) -> None:
    """Counts the stage `marts`.

    tables: rows of history.device_day and history.trip, by the table's last name. moving: days that wait to be
    derived or were derived meanwhile; their rows in history may already be newer than those that staging should have.
    """
    unloaded, unmarted = ops.unloaded(), ops.unmarted()
    for table, rows in tables.items():
        derived = _cells(table, rows)
        _compare(f"history.{table}", derived, f"staging.{table}", ops.staging[table], moving | unloaded, findings)
        _compare(f"staging.{table}", ops.staging[table], f"marts.{table}", ops.marts[table], unmarted, findings)
    findings.count("marts", sum(cell.records for cell in ops.marts["device_day"].values()))
    for what, days in (("staging", unloaded), ("the marts", unmarted)):
        if days:
            shown = named([str(day) for day in sorted(days)])
            findings.note("R6", f"days that wait to be loaded into {what}: {len(days)} ({shown}); run process")


def _cells(table: str, rows: pa.Table) -> dict[date, Cell]:
    summed = ["records", *SUMMED[table]]
    by_day = rows.group_by("day").aggregate([("day", "count"), *((name, "sum") for name in summed)])
    return {
        row["day"]: Cell(
            rows=row["day_count"],
            records=row["records_sum"],
            sums=tuple(float(row[f"{name}_sum"] or 0) for name in SUMMED[table]),
        )
        for row in by_day.to_pylist()
    }


def _compare(
    source: str, wanted: dict[date, Cell], target: str, found: dict[date, Cell], waiting: set[date], findings: Findings
) -> None:
    columns = ("records", *SUMMED[target.partition(".")[2]])
    for day in sorted((wanted.keys() | found.keys()) - waiting):
        one, other = wanted.get(day, _NOTHING), found.get(day, _NOTHING)
        if one.rows != other.rows:
            said = f"{source} has {one.rows} rows, {target} {other.rows}"
        elif one.rows and (odd := _odd_column(columns, one, other)):
            said = f"the sum of {odd[0]} is {odd[1]:,.6g} in {source} and {odd[2]:,.6g} in {target}"
        else:
            continue
        findings.differs("R6", f"on {day} {said}; {_remedy(target)}")


def _odd_column(columns: tuple[str, ...], one: Cell, other: Cell) -> tuple[str, float, float] | None:
    pairs = zip(columns, (one.records, *one.sums), (other.records, *other.sums), strict=True)
    for name, left, right in pairs:
        if not isclose(left, right, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
            return name, left, right
    return None


def _remedy(target: str) -> str:
    applied = "staging" if target.startswith("staging") else "marts"
    return f"take the day off ops.applied for target '{applied}' and run process, which makes it again"
