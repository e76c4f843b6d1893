"""Event times of a file: as the record will say them, and as epoch milliseconds to sort and pace by."""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.errors import BadInputFile, BadMapping
from contracts.record import EARLIEST_TS_MS
from devices.replay.mapping import EventTime

UNKNOWN = np.iinfo(np.int64).min
"""Epoch milliseconds of a time that cannot be read."""
EPOCH_DIGITS = 18
MISREAD_MS = 4_102_444_800_000
"""2100: times from here on, like those before EARLIEST_TS_MS, are numbers whose unit is another."""
_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_PER_MS = {"us": 1_000, "ns": 1_000_000}
_MS_PER = {"s": 1_000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}


def event_times(values: pa.Array, rule: EventTime, file: str) -> tuple[Sequence[Any], NDArray[np.int64]]:
    """What goes into `ts` for each value, and its epoch milliseconds (UNKNOWN where it is none).

    A time in whole milliseconds is sent as epoch milliseconds; a finer one as RFC 3339 with all of its digits; text
    that is RFC 3339 as it stands, and any other ISO 8601 time written so. Raises BadInputFile where times have no
    zone and the mapping gives none.
    """
    if pa.types.is_timestamp(values.type):
        return _timestamps(_zoned(values, rule, file))
    if pa.types.is_integer(values.type) and rule.unit == "ms":
        return values.to_pylist(), _filled(values.cast(pa.int64()))
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return _numbers(values, rule)
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        for kind in (pa.int64(), pa.float64()):
            with suppress(pa.ArrowInvalid):
                return event_times(values.cast(kind), rule, file)
        return _texts(values, rule, file)
    raise BadInputFile(
        f"{file}: column {rule.column!r} is {values.type}, which is no time: give a timestamp, number or text"
    )


def _zoned(values: pa.Array, rule: EventTime, file: str) -> pa.Array:
    if values.type.tz is not None:
        return values
    zone = _zone(rule)
    if zone is None:
        raise BadInputFile(
            f'{file}: the times in {rule.column!r} have no zone; name it in a mapping: [ts] zone = "UTC"'
        )
    return pc.assume_timezone(values, zone.key, ambiguous="earliest", nonexistent="latest")


def _zone(rule: EventTime) -> ZoneInfo | None:
    if rule.zone is None:
        return None
    try:
        return ZoneInfo(rule.zone)
    except (KeyError, ValueError, OSError):
        raise BadMapping(f"[ts] zone {rule.zone!r} is no IANA zone; write one such as 'Europe/Berlin'") from None


def _timestamps(values: pa.Array) -> tuple[Sequence[Any], NDArray[np.int64]]:
    unit = values.type.unit
    raw = _filled(values.cast(pa.int64()))
    known = raw != UNKNOWN
    per_ms = _PER_MS.get(unit)
    if per_ms is None:
        ms = np.where(known, raw * (1000 if unit == "s" else 1), UNKNOWN)
        return _listed(ms, known), ms
    ms = np.where(known, raw // per_ms, UNKNOWN)
    sent = _listed(ms, known)
    for index in np.flatnonzero(known & (raw % per_ms != 0)).tolist():
        sent[index] = f"{np.datetime64(int(raw[index]), unit)}Z"
    return sent, ms


def _numbers(values: pa.Array, rule: EventTime) -> tuple[Sequence[Any], NDArray[np.int64]]:
    numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) * _MS_PER[rule.unit]
    known = np.isfinite(numbers) & (np.abs(numbers) < 2**62)
    ms = np.where(known, np.rint(np.where(known, numbers, 0)), UNKNOWN).astype(np.int64)
    return _listed(ms, known), ms


def _texts(values: pa.Array, rule: EventTime, file: str) -> tuple[Sequence[Any], NDArray[np.int64]]:
    zone = _zone(rule)
    sent: list[Any] = values.to_pylist()
    ms = np.full(len(sent), UNKNOWN, np.int64)
    without_zone = False
    for index, text in enumerate(sent):
        if text and _NUMBER.fullmatch(text):
            number = int(text) if text.isdecimal() and len(text) <= EPOCH_DIGITS else float(text)
            (made,), (ms[index],) = event_times(pa.array([number]), rule, file)
            sent[index] = text if made is None else made
            continue
        moment = parse_time(text)
        if moment is None:
            continue
        if moment.tzinfo is None:
            without_zone = True
            if zone is None:
                continue
            moment = moment.replace(tzinfo=zone)
        if not is_rfc3339(text):
            sent[index] = rfc3339(moment)
        ms[index] = epoch_ms(moment)
    if without_zone and zone is None and (ms == UNKNOWN).all():
        raise BadInputFile(
            f'{file}: the times in {rule.column!r} have no zone; name it in a mapping: [ts] zone = "UTC"'
        )
    return sent, ms


def check_readable(values: pa.Array, ms: NDArray[np.int64], rule: EventTime, file: str) -> None:
    """ms: what event_times made of the file's first values.

    Raises BadInputFile where none of them is a time, or all are numbers that only another unit makes one.
    """
    present = values.drop_null()
    example = present.slice(0, 1).cast(pa.string())[0].as_py() if len(present) else ""
    known = ms[ms != UNKNOWN]
    if not known.size:
        raise BadInputFile(
            f"{file}: none of the first {len(ms)} values of {rule.column!r} is a time; the first is {example!r}. "
            "Give RFC 3339, such as 2026-11-20T06:00:00Z, or a number since 1970"
        )
    if _NUMBER.fullmatch(example) and not ((known >= EARLIEST_TS_MS) & (known < MISREAD_MS)).any():
        raise BadInputFile(
            f"{file}: the times in {rule.column!r}, such as {example}, lie outside 2000 to 2100 in {rule.unit}; "
            'name their unit in a mapping: [ts] unit = "s" (or "ms", "us", "ns")'
        )


def is_rfc3339(text: str | None) -> bool:
    """Whether the consumer reads this form, so that a time in it can be sent as it stands."""
    return bool(text) and _RFC3339.fullmatch(text or "") is not None


def parse_time(text: str | None) -> datetime | None:
    """An ISO 8601 time, or None where the text is no time."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.strip().upper())
    except ValueError:
        return None
    # In the first and last year an offset may lead out of what a datetime can say.
    return moment if MINYEAR < moment.year < MAXYEAR else None


def epoch_ms(moment: datetime) -> int:
    """Whole epoch milliseconds of a time with a zone, rounded down."""
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC, with as many digits as the time has."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _filled(values: pa.Array) -> NDArray[np.int64]:
    filled: NDArray[np.int64] = pc.fill_null(values, UNKNOWN).to_numpy(zero_copy_only=False)
    return filled


def _listed(ms: NDArray[np.int64], known: NDArray[np.bool_]) -> list[Any]:
    listed: list[Any] = ms.tolist()
    for index in np.flatnonzero(~known).tolist():
        listed[index] = None
    return listed
