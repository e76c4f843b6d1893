"""R6: staging and the marts have, day by day, the rows and sums of the derived tables of history."""

from collections.abc import Iterable
from datetime import date
from math import isclose

import pyarrow as pa

from reconcile.model import Findings, named
from reconcile.ops import (
    SUMMED,
    TARGETS,
    Ops,
    Sums,
)

_MARTS = {
    "device_day": ("device_day", "fleet_day", "data_completeness_day"),
    "trip": ("trip",),
    "episode": ("idling_event", "fuel_event"),
    "fault_day": (),
}
"""Marts that are made of each derived table's rows."""
_TOLERANCE = 1e-9
"""Sums of floating-point numbers differ in their last digits with the order of adding."""


def check_marts(tables: dict[str, pa.Table], ops: Ops, moving: set[date], findings: Findings) -> None:
    """Counts the stages `marts` and `unloaded`.

    tables: rows of the derived tables of history, by the table's last name. moving: days that wait to be
    derived or were derived meanwhile; their rows in history may already be newer than those that staging should have.
    """
    unloaded, unmarted = ops.unloaded(), ops.unmarted()
    derived = {table: _sums(table, rows) for table, rows in tables.items()}
    for table, of_days in derived.items():
        staging = f"staging.{table}"
        names = ("rows", *SUMMED[table])
        _compare(f"history.{table}", of_days, staging, ops.sums[staging], names, moving | unloaded, findings)
        wanted = ops.shown.get(staging, ops.sums[staging])
        for mart in _MARTS[table]:
            target = f"marts.{mart}"
            _compare(staging, wanted, target, ops.sums[target], TARGETS[target], unmarted, findings)
    marts = ops.sums["marts.device_day"]
    findings.count("marts", _records(marts, marts.keys()))
    late = moving | unloaded | unmarted
    _note_restricted(ops, findings)
    findings.count("unloaded", _records(derived["device_day"], late) - _records(marts, late))
    for what, days in (("staging", unloaded), ("the marts", unmarted)):
        if days:
            shown = named([str(day) for day in sorted(days)])
            findings.note("R6", f"days that wait to be loaded into {what}: {len(days)} ({shown}); run process")


def _note_restricted(ops: Ops, findings: Findings) -> None:
    staged = ops.sums["staging.device_day"]
    hidden = _records(staged, staged) - _records(ops.shown.get("staging.device_day", staged), staged)
    if hidden:
        findings.note("R6", f"records of devices whose processing is restricted, which no mart has: {hidden:,}")


def _sums(table: str, rows: pa.Table) -> dict[date, Sums]:
    by_day = rows.group_by("day").aggregate([("day", "count"), *((name, "sum") for name in SUMMED[table])])
    return {
        row["day"]: {"rows": row["day_count"], **{name: float(row[f"{name}_sum"] or 0) for name in SUMMED[table]}}
        for row in by_day.to_pylist()
    }


def _records(sums: dict[date, Sums], days: Iterable[date]) -> int:
    return round(sum(sums[day]["records"] for day in days if day in sums))


def _compare(
    source: str,
    wanted: dict[date, Sums],
    target: str,
    found: dict[date, Sums],
    names: Iterable[str],
    waiting: set[date],
    findings: Findings,
) -> None:
    for day in sorted((wanted.keys() | found.keys()) - waiting):
        one, other = wanted.get(day, {}), found.get(day, {})
        odd = [name for name in names if not _same(one.get(name, 0.0), other.get(name, 0.0))]
        if odd:
            said = _said(odd[0], source, one.get(odd[0], 0.0), target, other.get(odd[0], 0.0))
            findings.differs("R6", f"on {day} {said}; {_remedy(target)}")


def _same(one: float, other: float) -> bool:
    return isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


def _said(name: str, source: str, one: float, target: str, other: float) -> str:
    if name == "rows":
        return f"{source} has {one:,.0f} rows, {target} counts {other:,.0f}"
    return f"the sum of {name} is {one:,.6g} in {source} and {other:,.6g} in {target}"


def _remedy(target: str) -> str:
    applied = "staging" if target.startswith("staging") else "marts"
    return f"take the day off ops.applied for target '{applied}' and run process, which makes it again"
