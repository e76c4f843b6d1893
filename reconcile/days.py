"""R5: each device day counts the records that history has of that day."""

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import Table

from contracts.settings import RegionSettings
from reconcile.model import Findings, named
from reconcile.ops import Ops

_KEYS = ["device_id", "day"]
_COUNTED = pa.schema(
    [("device_id", pa.string()), ("day", pa.date32()), ("records", pa.int64()), ("flagged", pa.int64())]
)


def check_days(
    settings: RegionSettings,
    history: Table | None,
    device_days: pa.Table,
    ops: Ops,
    rederived: set[date],
    findings: Findings,
) -> set[date]:
    """Compares at the snapshot of history up to which changes were harvested. Returns the days that wait.

    device_days: rows of history.device_day, columns of contracts.derived; rederived: days derived since `ops` was
    read, or being derived. Counts the stages `device_day` and `underived`. A day that changed after it was derived
    waits for its next derivation and is not a difference; nor is a day whose changes are not harvested yet, or that was
    derived from what was merged after the harvest. Memory grows with device days, not with records.
    """
    findings.count("device_day", pc.sum(device_days.column("records")).as_py() or 0)
    counted = _count_history(settings, history, device_days.num_rows > 0, ops, findings)
    if counted is None:
        findings.count("underived", findings.stages["history"])
        return set(pc.unique(device_days.column("day")).to_pylist())
    waiting = ops.stale() | ops.ahead() | (set(pc.unique(counted.column("day")).to_pylist()) - set(ops.derived))
    made = device_days.select(_COUNTED.names).cast(_COUNTED)
    _count_underived(counted, made, waiting | rederived, findings)
    both = counted.join(made, keys=_KEYS, join_type="full outer", right_suffix="_made")
    same = pc.and_(_equal(both, "records"), _equal(both, "flagged"))
    wrong = both.filter(pc.invert(same))
    settled = [day for day in sorted(set(wrong.column("day").to_pylist())) if day not in waiting | rederived]
    for day in settled:
        _report(day, wrong.filter(pc.equal(wrong.column("day"), pa.scalar(day, pa.date32()))), findings)
    with_records = set(counted.column("day").to_pylist()) | set(made.column("day").to_pylist())
    if shown := [str(day) for day in sorted(waiting & with_records)]:
        findings.note("R5", f"days that wait to be derived: {len(shown)} ({named(shown)}); run process")
    return waiting


def _count_underived(counted: pa.Table, made: pa.Table, moving: set[date], findings: Findings) -> None:
    """Records merged after the harvest, and what device days lack of the harvested ones on days that move."""
    unharvested = findings.stages["history"] - (pc.sum(counted.column("records")).as_py() or 0)
    findings.count("underived", unharvested + _records_of(counted, moving) - _records_of(made, moving))


def _records_of(rows: pa.Table, days: set[date]) -> int:
    chosen = rows.filter(pc.is_in(rows.column("day"), value_set=pa.array(sorted(days), pa.date32())))
    return int(pc.sum(chosen.column("records")).as_py() or 0)


def _equal(both: pa.Table, name: str) -> pa.ChunkedArray:
    return pc.fill_null(pc.equal(both.column(name), both.column(f"{name}_made")), False)


def _report(day: date, wrong: pa.Table, findings: Findings) -> None:
    in_history = pc.sum(wrong.column("records")).as_py() or 0
    made = pc.sum(wrong.column("records_made")).as_py() or 0
    findings.differs(
        "R5",
        f"on {day} the device days that differ from history are {wrong.num_rows}: history has {in_history:,} "
        f"records of them, history.device_day counts {made:,}, or their flagged ones differ; derive that day again "
        "(delete it from ops.derived and run process)",
    )


def _count_history(
    settings: RegionSettings, history: Table | None, has_device_days: bool, ops: Ops, findings: Findings
) -> pa.Table | None:
    """History by device and day; None where it cannot be counted, which is a difference once there are device days."""
    if history is None or history.current_snapshot() is None:
        return _COUNTED.empty_table()
    tell = findings.differs if has_device_days else findings.note
    if ops.harvested is None:
        tell("R5", "history's changes are not harvested yet, so no device day can be compared; run process")
        return None
    snapshot_id, _ = ops.harvested
    if history.snapshot_by_id(snapshot_id) is None:
        tell(
            "R5",
            "the snapshot of history that changes were harvested from has expired, so no device day can be compared; "
            "run process, then reconcile",
        )
        return None
    scan = history.scan(selected_fields=("device_id", "ts", "flags"), snapshot_id=snapshot_id)
    counted = _COUNTED.empty_table()
    for batch in scan.to_arrow_batch_reader():
        counted = _summed(pa.concat_tables([counted, _by_day(pa.Table.from_batches([batch]), settings.row.time_zone)]))
    return counted


def _by_day(rows: pa.Table, zone: str) -> pa.Table:
    local = pc.local_timestamp(rows.column("ts").cast(pa.timestamp("us", zone)))
    flagged = pc.cast(pc.not_equal(rows.column("flags"), 0), pa.int64())
    ones = pa.array([1] * rows.num_rows, pa.int64())
    columns = [rows.column("device_id").cast(pa.string()), local.cast(pa.date32(), safe=False), ones, flagged]
    return _summed(pa.table(columns, schema=_COUNTED))


def _summed(rows: pa.Table) -> pa.Table:
    sums = rows.group_by(_KEYS).aggregate([("records", "sum"), ("flagged", "sum")])
    return sums.rename_columns({"records_sum": "records", "flagged_sum": "flagged"}).select(_COUNTED.names)
