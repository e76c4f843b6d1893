"""R5: each device day counts the records that history has of that day."""

from collections.abc import Iterable
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import Table

from contracts.settings import RegionSettings
from reconcile.counting import COLUMNS, ByDay, added, count_device_days, count_records
from reconcile.files import FilesByDay, files_by_day, read_files
from reconcile.history import Seen
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
    seen: Seen,
    findings: Findings,
) -> set[date]:
    """Compares at the snapshot of history up to which changes were harvested. Returns the days that wait.

    device_days: rows of history.device_day, columns of contracts.derived; rederived: days derived since `ops` was
    read, or being derived; seen: what R4 counted, so that history is read again only where the harvested snapshot has
    other files, and where a day differs, to say how. Counts the stages `device_day` and `underived`. A day that changed
    after it was derived waits for its next derivation and is not a difference; nor is a day whose changes are not
    harvested yet, or that was derived from what was merged after the harvest. Memory grows with device days, not with
    records.
    """
    findings.count("device_day", pc.sum(device_days.column("records")).as_py() or 0)
    harvested = _harvested(history, device_days.num_rows > 0, ops, findings)
    if harvested is None:
        findings.count("underived", findings.stages["history"])
        return set(pc.unique(device_days.column("day")).to_pylist())
    files = _files(settings, history, harvested, seen)
    counted = _count_history(settings, history, files, seen)
    waiting = ops.stale() | ops.ahead() | (counted.keys() - set(ops.derived))
    made = count_device_days(device_days)
    _count_underived(counted, made, waiting | rederived, findings)
    wrong = {day for day in counted.keys() | made.keys() if counted.get(day) != made.get(day)}
    settled = wrong - waiting - rederived
    if settled and history is not None:
        _report_days(settings, history, files, device_days, settled, findings)
    if shown := [str(day) for day in sorted(waiting & (counted.keys() | made.keys()))]:
        findings.note("R5", f"days that wait to be derived: {len(shown)} ({named(shown)}); run process")
    return waiting


def _harvested(history: Table | None, has_device_days: bool, ops: Ops, findings: Findings) -> int | None:
    """The harvested snapshot, 0 before history has any; None where it is not there: a difference with device days."""
    if history is None or history.current_snapshot() is None:
        return 0
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
    return snapshot_id


def _files(settings: RegionSettings, history: Table | None, snapshot_id: int, seen: Seen) -> FilesByDay:
    """The files of the harvested snapshot; those that the bucket lacks were reported by R4."""
    current = history.current_snapshot() if history else None
    if current is None or current.snapshot_id == snapshot_id:
        return seen.files
    return files_by_day(settings, history, Findings(), snapshot_id)


def _count_history(settings: RegionSettings, history: Table | None, files: FilesByDay, seen: Seen) -> ByDay:
    """Records by business day: as R4 has counted them of the same files, else from the files."""
    counts: list[ByDay] = []
    for day, tasks in files.items():
        counted = seen.days.get(day)
        if counted is not None and counted.files == tasks.keys():
            counts.append(counted.counted)
        elif history is not None:
            batches = read_files(history, list(tasks.values()), COLUMNS)
            counts += [count_records(batch, settings.row.time_zone) for batch in batches]
    return added(counts)


def _count_underived(counted: ByDay, made: ByDay, moving: set[date], findings: Findings) -> None:
    """Records merged after the harvest, and what device days lack of the harvested ones on days that move."""
    unharvested = findings.stages["history"] - _records_of(counted, counted.keys())
    findings.count("underived", unharvested + _records_of(counted, moving) - _records_of(made, moving))


def _records_of(counted: ByDay, days: Iterable[date]) -> int:
    return sum(counted[day].records for day in days if day in counted)


def _report_days(
    settings: RegionSettings,
    history: Table,
    files: FilesByDay,
    device_days: pa.Table,
    days: set[date],
    findings: Findings,
) -> None:
    """How these days differ, device by device."""
    chosen = pa.array(sorted(days), pa.date32())
    made = device_days.select(_COUNTED.names).cast(_COUNTED)
    made = _summed(made.filter(pc.is_in(made.column("day"), value_set=chosen)))
    counted = _by_device(settings, history, files, days)
    both = counted.join(made, keys=_KEYS, join_type="full outer", right_suffix="_made")
    same = pc.and_(_equal(both, "records"), _equal(both, "flagged"))
    wrong = both.filter(pc.invert(same))
    for day in sorted(days):
        _report(day, wrong.filter(pc.equal(wrong.column("day"), pa.scalar(day, pa.date32()))), findings)


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


def _by_device(settings: RegionSettings, history: Table, files: FilesByDay, days: set[date]) -> pa.Table:
    """History by device on these business days, each of which is within three UTC days."""
    near = {day + timedelta(days=away) for day in days for away in (-1, 0, 1)}
    tasks = [task for day in sorted(files.keys() & near) for task in files[day].values()]
    counted = _COUNTED.empty_table()
    for batch in read_files(history, tasks, COLUMNS):
        counted = _summed(pa.concat_tables([counted, _by_day(pa.Table.from_batches([batch]), settings.row.time_zone)]))
    return counted.filter(pc.is_in(counted.column("day"), value_set=pa.array(sorted(days), pa.date32())))


def _by_day(rows: pa.Table, zone: str) -> pa.Table:
    local = pc.local_timestamp(rows.column("ts").cast(pa.timestamp("us", zone)))
    flagged = pc.cast(pc.not_equal(rows.column("flags"), 0), pa.int64())
    ones = pa.array([1] * rows.num_rows, pa.int64())
    columns = [rows.column("device_id").cast(pa.string()), local.cast(pa.date32(), safe=False), ones, flagged]
    return _summed(pa.table(columns, schema=_COUNTED))


def _summed(rows: pa.Table) -> pa.Table:
    sums = rows.group_by(_KEYS).aggregate([("records", "sum"), ("flagged", "sum")])
    return sums.rename_columns({"records_sum": "records", "flagged_sum": "flagged"}).select(_COUNTED.names)
