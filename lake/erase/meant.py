"""Which rows of a table of history a scope means: as an expression, as SQL, and in a data file's bytes."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
from pyarrow import fs
from pyiceberg.expressions import (
    AlwaysFalse,
    And,
    BooleanExpression,
    EqualTo,
    GreaterThanOrEqual,
    In,
    LessThan,
    Or,
    Reference,
)

from contracts.erasable import Portion, Scope
from contracts.names import HISTORY_TABLE, MOTION_HOUR_TABLE
from contracts.record import DEVICE_ID_PATTERN
from lake.derive.business_days import inner_days
from lake.erase.objects import groups_that_may_hold

_HOUR = timedelta(hours=1)
_DEVICE_ID = re.compile(DEVICE_ID_PATTERN)
_Bound = date | datetime | None


def rows_in_file(store: fs.FileSystem, path: str, scope: Scope) -> int:
    """Rows of a data file that are of the scope's devices, by the column; of those meant in part, by their times."""
    try:
        with store.open_input_file(path) as source:
            file = pq.ParquetFile(source)
            names = [name for name in ("device_id", "ts") if name in file.schema_arrow.names]
            groups = list(groups_that_may_hold(file, scope.devices))
            if not groups or "device_id" not in names:
                return 0
            rows = file.read_row_groups(groups, columns=names)
    except FileNotFoundError:
        return 0
    if "ts" in names:
        return sum(scope.mask(rows["device_id"], rows["ts"]).to_pylist())
    only_whole = Scope(tuple(portion for portion in scope.portions if portion.whole), None, scope.request_id)
    return sum(only_whole.mask(rows["device_id"]).to_pylist())


def meant_by(scope: Scope, name: str, zone: ZoneInfo) -> BooleanExpression:
    """The rows of a table that are meant. A derived row is where its whole day is; days in part are derived anew."""
    meant: BooleanExpression = (
        In(term=Reference("device_id"), literals=scope.whole_devices) if scope.whole_devices else AlwaysFalse()
    )
    for portion in scope.ranges:
        column, _, start, end = _span(portion, name, zone, inner=True)
        own: BooleanExpression = EqualTo(term=Reference("device_id"), value=portion.device_id)
        if start is not None:
            own = And(own, GreaterThanOrEqual(term=Reference(column), value=start.isoformat()))
        if end is not None:
            own = And(own, LessThan(term=Reference(column), value=end.isoformat()))
        meant = Or(meant, own)
    return meant


def condition(scope: Scope, name: str, zone: ZoneInfo) -> str:
    """What to delete, as SQL. A name that is no device id is in no table of history, and left out."""
    parts = []
    if whole := [one for one in scope.whole_devices if _DEVICE_ID.fullmatch(one)]:
        parts.append(f"device_id in ({', '.join(_quoted(one) for one in whole)})")
    for portion in scope.ranges:
        if not _DEVICE_ID.fullmatch(portion.device_id):
            continue
        column, kind, start, end = _span(portion, name, zone, inner=False)
        own = [f"device_id = {_quoted(portion.device_id)}"]
        own += [f"{column} >= {kind} '{_literal(start)}'"] if start is not None else []
        own += [f"{column} < {kind} '{_literal(end)}'"] if end is not None else []
        parts.append(f"({' and '.join(own)})")
    return " or ".join(parts) or "false"


def _quoted(device_id: str) -> str:
    """Ids are of contracts.record.DEVICE_ID_PATTERN: no quote is among their letters."""
    return f"'{device_id}'"


def _span(portion: Portion, name: str, zone: ZoneInfo, *, inner: bool) -> tuple[str, str, _Bound, _Bound]:
    """Column, SQL type, first value, and the value before which it ends. inner: only what lies wholly within."""
    start, end = portion.start, portion.end
    if name == HISTORY_TABLE:
        return "ts", "timestamp", start, end
    if name == MOTION_HOUR_TABLE:
        first, last = (None if one is None else one.replace(minute=0, second=0, microsecond=0) for one in (start, end))
        if start is not None and first is not None and inner and first < start:
            first += _HOUR
        if end is not None and last is not None and not inner and last < end:
            last += _HOUR
        return "hour", "timestamp", first, last
    return "day", "date", *inner_days(start, end, zone)


def _literal(value: date | datetime) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return str(value)
