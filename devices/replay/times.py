"""Event times of a file: as the record will say them, and as epoch milliseconds to sort and pace by."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts.errors import BadInputFile, BadMapping
from contracts.mapping import EventTime
from contracts.record import EARLIEST_TS_MS
from contracts.time_texts import epoch_ms, format_hint, is_rfc3339, parse_format, parse_time, rfc3339
from devices.replay.numbers import cast_or_none, doubles
from devices.replay.texts import is_text
from devices.replay.zones import PER_S, epoch_us, localized

UNKNOWN = np.iinfo(np.int64).min
"""Epoch milliseconds of a time that cannot be read."""
EPOCH_DIGITS = 18
MISREAD_MS = 4_102_444_800_000
"""2100: times from here on, like those before EARLIEST_TS_MS, are numbers whose unit is another."""
_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
_MOST_MS = 2**62
_MS_PER = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
_MOST_EXAMPLES = 1000


class Times(NamedTuple):
    """sent: what goes into `ts`. ms: epoch milliseconds, UNKNOWN where it is none. skipped, doubled: local times in an
    hour that a clock change skips, or that comes twice.
    """

    sent: Sequence[Any]
    ms: NDArray[np.int64]
    skipped: int = 0
    doubled: int = 0


def event_times(values: pa.Array, rule: EventTime, file: str) -> Times:
    """The times of a column.

    A time in whole milliseconds is sent as epoch milliseconds; a finer one as RFC 3339 with all of its digits; text
    that is RFC 3339 as it stands, and any other time written so. A number finer than milliseconds is cut, never
    rounded. Raises BadInputFile where times have no zone and the mapping gives none.
    """
    if rule.format is not None and not pa.types.is_timestamp(values.type):
        return _texts(_digits(values), rule, file)
    if pa.types.is_timestamp(values.type):
        return _timestamps(values, rule, file)
    if pa.types.is_decimal(values.type):
        values = _undecimal(values)
    if pa.types.is_integer(values.type):
        return _integers(values, rule)
    if pa.types.is_floating(values.type):
        return _numbers(values, rule)
    if is_text(values.type):
        return _numbers_or_texts(values, rule, file)
    raise BadInputFile(
        f"{file}: column {rule.column!r} is {values.type}, which is no time: give a timestamp, number or text"
    )


def _timestamps(values: pa.Array, rule: EventTime, file: str) -> Times:
    unit = values.type.unit
    raw = _filled(values.cast(pa.int64()))
    known = raw != UNKNOWN
    skipped = doubled = 0
    if values.type.tz is None:
        zone = zone_of(rule)
        if zone is None:
            raise _without_zone(rule, file)
        raw = raw.copy()
        raw[known], skipped, doubled = localized(raw[known], unit, zone)
    per_ms = PER_S[unit] // 1000
    if per_ms <= 1:
        ms = np.where(known, raw * (1000 if unit == "s" else 1), UNKNOWN)
        return Times(_listed(ms, known), ms, skipped, doubled)
    ms = np.where(known, raw // per_ms, UNKNOWN)
    sent = _listed(ms, known)
    for index in np.flatnonzero(known & (raw % per_ms != 0)).tolist():
        sent[index] = f"{np.datetime64(int(raw[index]), unit)}Z"
    return Times(sent, ms, skipped, doubled)


def zone_of(rule: EventTime) -> ZoneInfo | None:
    """The mapping's zone, if it names one. Raises BadMapping where that is none."""
    if rule.zone is None:
        return None
    try:
        return ZoneInfo(rule.zone)
    except (KeyError, ValueError, OSError):
        raise BadMapping(f"[ts] zone {rule.zone!r} is no IANA zone; write one such as 'Europe/Berlin'") from None


def _without_zone(rule: EventTime, file: str) -> BadInputFile:
    return BadInputFile(f'{file}: the times in {rule.column!r} have no zone; name it in a mapping: [ts] zone = "UTC"')


def _integers(values: pa.Array, rule: EventTime) -> Times:
    if rule.unit == "ms":
        return Times(values.to_pylist(), _filled(values.cast(pa.int64())))
    raw = _filled(values.cast(pa.int64()))
    if rule.unit == "s":
        known = (raw != UNKNOWN) & (np.abs(raw) < _MOST_MS // 1000)
        ms = np.where(known, np.where(known, raw, 0) * 1000, UNKNOWN)
    else:
        known = raw != UNKNOWN
        ms = np.where(known, raw // (PER_S[rule.unit] // 1000), UNKNOWN)
    return Times(_listed(ms, known), ms)


def _numbers(values: pa.Array, rule: EventTime) -> Times:
    numbers = doubles(values)
    known = np.isfinite(numbers) & (np.abs(numbers) < _MOST_MS / _MS_PER[rule.unit])
    numbers = np.where(known, numbers, 0)
    if rule.unit == "s":
        whole_s = np.floor(numbers)
        # A double may be a little less than the time that it stands for: by half of the step to the next at most.
        cut = whole_s * 1000 + np.floor((numbers - whole_s + np.spacing(numbers) / 2) * 1000)
    else:
        cut = np.floor_divide(numbers, 1 / _MS_PER[rule.unit])
    ms = np.where(known, cut.astype(np.int64), UNKNOWN)
    return Times(_listed(ms, known), ms)


def _numbers_or_texts(values: pa.Array, rule: EventTime, file: str) -> Times:
    for tried in (values, pc.utf8_trim_whitespace(values)):
        for kind in (pa.int64(), pa.float64()):
            found = cast_or_none(tried, kind)
            if found is not None:
                return event_times(found, rule, file)
    return _texts(values, rule, file)


def _texts(values: pa.Array, rule: EventTime, file: str) -> Times:
    zone = zone_of(rule)
    sent: list[Any] = values.to_pylist()
    ms = np.full(len(sent), UNKNOWN, np.int64)
    local: dict[int, datetime] = {}
    for index, raw in enumerate(sent):
        text = raw and raw.strip()
        if not text:
            continue
        if rule.format is None and _NUMBER.fullmatch(text):
            number = int(text) if text.isdecimal() and len(text) <= EPOCH_DIGITS else float(text)
            read = event_times(pa.array([number]), rule, file)
            (made,), (ms[index],) = read.sent, read.ms
            sent[index] = text if made is None else made
            continue
        moment = parse_time(text) if rule.format is None else parse_format(text, rule.format)
        if moment is None:
            continue
        if moment.tzinfo is None:
            local[index] = moment
            continue
        if rule.format is not None or not is_rfc3339(raw):
            sent[index] = text if is_rfc3339(text) else rfc3339(moment)
        ms[index] = epoch_ms(moment)
    if not local:
        return Times(sent, ms)
    if zone is None:
        if (ms == UNKNOWN).all():
            raise _without_zone(rule, file)
        return Times(sent, ms)
    return _placed(sent, ms, local, zone)


def _placed(sent: list[Any], ms: NDArray[np.int64], local: dict[int, datetime], zone: ZoneInfo) -> Times:
    """Local times put on the zone's clock."""
    utc, skipped, doubled = localized(np.array(list(map(epoch_us, local.values())), np.int64), "us", zone)
    for index, us in zip(local, utc.tolist(), strict=True):
        ms[index] = us // 1000
        moment = np.datetime64(us, "us")
        sent[index] = f"{moment if us % 1_000_000 else moment.astype('datetime64[s]')}Z"
    return Times(sent, ms, skipped, doubled)


def check_readable(values: pa.Array, ms: NDArray[np.int64], rule: EventTime, file: str) -> None:
    """ms: what event_times made of the file's first values.

    Raises BadInputFile where none of them is a time, or all are numbers that only another unit makes one.
    """
    examples = [text.strip() for text in values.drop_null()[:_MOST_EXAMPLES].cast(pa.string()).to_pylist()]
    example = examples[0] if examples else ""
    known = ms[ms != UNKNOWN]
    if not known.size:
        raise BadInputFile(
            f"{file}: none of the first {len(ms)} values of {rule.column!r} is a time; the first is {example!r}. "
            + _time_hint(examples, rule)
        )
    if rule.format is None and _NUMBER.fullmatch(example) and not _plausible(known):
        pattern = format_hint(examples)
        raise BadInputFile(
            f"{file}: the times in {rule.column!r}, such as {example}, lie outside 2000 to 2100 in {rule.unit}; "
            + (f"say how they are written in a mapping: {pattern}" if pattern else _unit_hint(example))
        )


def _time_hint(examples: list[str], rule: EventTime) -> str:
    if rule.format is not None:
        return f"The mapping's [ts] format {rule.format!r} does not fit it"
    pattern = format_hint(examples)
    if pattern is None:
        return (
            "Give RFC 3339, such as 2026-11-20T06:00:00Z, or a number since 1970, or say how times are written in a "
            'mapping: [ts] format = "%d/%m/%Y %H:%M:%S" (as strptime has it)'
        )
    return f"Say how it is written in a mapping: {pattern}"


def _unit_hint(example: str) -> str:
    fitting = [unit for unit, per in _MS_PER.items() if _plausible(np.array([float(example) * per]))]
    named = fitting[0] if fitting else "s"
    others = ", ".join(f'"{unit}"' for unit in _MS_PER if unit != named)
    return f'name their unit in a mapping: [ts] unit = "{named}" (or {others})'


def _plausible(ms: NDArray[Any]) -> bool:
    return bool(((ms >= EARLIEST_TS_MS) & (ms < MISREAD_MS)).any())


def _digits(values: pa.Array) -> pa.Array:
    """Any column as texts to be read by a format."""
    if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        whole = cast_or_none(values, pa.int64())
        values = values if whole is None else whole
    return values.cast(pa.string())


def _undecimal(values: pa.Array) -> pa.Array:
    whole = cast_or_none(values, pa.int64())
    return values.cast(pa.string()).cast(pa.float64()) if whole is None else whole


def _filled(values: pa.Array) -> NDArray[np.int64]:
    filled: NDArray[np.int64] = pc.fill_null(values, UNKNOWN).to_numpy(zero_copy_only=False)
    return filled


def _listed(ms: NDArray[np.int64], known: NDArray[np.bool_]) -> list[Any]:
    listed: list[Any] = ms.tolist()
    for index in np.flatnonzero(~known).tolist():
        listed[index] = None
    return listed


__all__ = ["UNKNOWN", "Times", "check_readable", "epoch_ms", "event_times", "is_rfc3339", "parse_time"]
