"""What a record means, written a second time: the standard library's JSON reader, one record at a time, no columns."""

import json
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.identity import record_id
from contracts.record import CONTRACT, LISTS, READINGS, TEXTS

_NUMBERS = {column.name for column in READINGS}
_TEXTS = {column.name for column in TEXTS}
_LISTS = {"fault_codes", "fault_lamps"} | {column.name for column in LISTS}
_DEVICE = re.compile(r"[A-Za-z0-9._:\-]{1,128}", re.ASCII)
_TIME = re.compile(r"(\d\d\d\d)-(\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_SPACE = " \t\n\r"


class Number(str):
    """The text of a JSON number."""


class Pairs(list):  # type: ignore[type-arg]
    """An object with all its keys."""


class Refused(Exception):
    """The record cannot be placed."""


def expected(data: bytes, arrival_ms: int) -> dict[str, Any] | str:
    """Contract fields, record_id and flags of a row (ts as ts_ms); or the reason why there is none."""
    try:
        return _row(data, arrival_ms)
    except Refused as why:
        return str(why)


def unknown_names(data: bytes) -> set[str]:
    """Names that the contract does not know, of a record that can be read."""
    names = {re.sub("[\ud800-\udfff]", "\ufffd", name) for name in _members(data)}
    return names - {column.name for column in CONTRACT}


def _row(data: bytes, arrival_ms: int) -> dict[str, Any]:
    members = _members(data)
    device = members.get("device_id", (None, ""))[0]
    if type(device) is not str or _lone(device):
        raise Refused("bad_device_id")
    if "ts" not in members or type(members["ts"][0]) not in (str, Number):
        raise Refused("bad_ts")
    ts = members["ts"][0]
    if type(ts) is Number and not re.fullmatch("-?[0-9]+", ts):
        raise Refused("bad_ts")
    if not _DEVICE.fullmatch(device):
        raise Refused("bad_device_id")
    ts_ms = _clamped(ts) if type(ts) is Number else _time(ts)
    if not 946_684_800_000 <= ts_ms <= arrival_ms + 300_000:
        raise Refused("impossible_ts")
    row: dict[str, Any] = {"device_id": device, "ts_ms": ts_ms}
    wrong: dict[str, str] = {}
    for column in CONTRACT[2:]:
        value, text = members.get(column.name, (None, "null"))
        row[column.name] = None
        if text != "null":
            try:
                row[column.name] = _value(column.name, value)
            except TypeError:
                wrong[column.name] = text
    if wrong:
        attributes = dict(row["attributes"] or {})
        for name in members:
            if name in wrong:
                place = name
                while place in attributes:
                    place += ".sent"
                attributes[place] = wrong[name]
        row["attributes"] = attributes
    row["event_id"] = row["event_id"] or None
    row["record_id"] = record_id(row["event_id"], data)
    row["flags"] = _flags(row, arrival_ms) | (64 if wrong else 0)
    return row


def _members(data: bytes) -> dict[str, tuple[Any, str]]:
    """Each key's last value and that value's text."""
    if len(data) > 65_536:
        raise Refused("too_large")
    try:
        text = data.decode("utf-8")
        reader = json.JSONDecoder(
            parse_float=Number, parse_int=Number, parse_constant=_no_constant, object_pairs_hook=Pairs
        )
        whole = reader.decode(text)
        if type(whole) is not Pairs or _depth(whole) > 64:
            raise Refused("not_json")
        members: dict[str, tuple[Any, str]] = {}
        place = _skip(text, text.index("{") + 1)
        while text[place] != "}":
            key, place = reader.raw_decode(text, place)
            place = _skip(text, _skip(text, place) + 1)
            value, end = reader.raw_decode(text, place)
            members[key] = (value, text[place:end])
            place = _skip(text, end)
            if text[place] == ",":
                place = _skip(text, place + 1)
    except (ValueError, RecursionError):
        raise Refused("not_json") from None
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place] in _SPACE:
        place += 1
    return place


def _depth(value: Any) -> int:
    inner = [pair[1] for pair in value] if type(value) is Pairs else value if type(value) is list else None
    if inner is None:
        return 0
    return 1 + max(map(_depth, inner), default=0)


def _lone(value: Any) -> bool:
    if type(value) is str:
        return any("\ud800" <= letter <= "\udfff" for letter in value)
    if type(value) is Pairs:
        return any(_lone(key) or _lone(inner) for key, inner in value)
    return type(value) is list and any(map(_lone, value))


def _value(name: str, value: Any) -> Any:
    if _lone(value):
        raise TypeError
    if name in _NUMBERS:
        return _number(value)
    if name == "engine_on" and type(value) is bool:
        return value
    if type(value) is str and (name in _TEXTS or (name == "event_id" and len(value) <= 64)):
        return value
    if name in _LISTS and type(value) is list and all(type(code) is str for code in value):
        return value
    if name == "signals" and type(value) is Pairs:
        numbers = {key: None if inner is None else _number(inner) for key, inner in value}
        return {key: number for key, number in numbers.items() if number is not None}
    if name == "attributes" and type(value) is Pairs and all(inner is None or type(inner) is str for _, inner in value):
        return {key: inner for key, inner in dict(value).items() if inner is not None}
    raise TypeError


def _number(value: Any) -> float:
    if type(value) is not Number or not math.isfinite(float(value)):
        raise TypeError
    return float(value)


def _clamped(text: str) -> int:
    return (-1 if text.startswith("-") else 1) * 10**30 if len(text) > 20 else int(text)


def _time(text: str) -> int:
    match = _TIME.fullmatch(text)
    if not match:
        raise Refused("bad_ts")
    year, day, minute, second, fraction, zone = match.groups()
    # The calendar repeats every 400 years; the year 0 is moved to one that datetime has.
    moved = "0400" if year == "0000" else year
    try:
        at = datetime.strptime(f"{moved}-{day}T{minute}", "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
    except ValueError:
        raise Refused("bad_ts") from None
    if int(second) > 60:
        raise Refused("bad_ts")
    offset = timedelta()
    if zone not in "Zz":
        if int(zone[1:3]) > 23 or int(zone[4:]) > 59:
            raise Refused("bad_ts")
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:])) * (-1 if zone[0] == "-" else 1)
    if year == "0000":
        raise Refused("impossible_ts")
    whole_s = (at - datetime(1970, 1, 1, tzinfo=UTC) - offset) // timedelta(seconds=1) + int(second)
    return whole_s * 1000 + int(float(f"0{fraction[:4]}") * 1000 + 1e-6 if fraction else 0)


_CODES = {
    "speed_kmh": (255.99609375, 254.99609375),
    "engine_rpm": (8191.875, 8159.875, 8128.0),
    "fuel_rate_lph": (3276.75, 3263.95, 3251.2),
    "odometer_km": (21474836.475, 536870911.875),
}


def _flags(row: dict[str, Any], arrival_ms: int) -> int:
    flags = 0
    lat, lon = row["lat"], row["lon"]
    if (lat is None) != (lon is None):
        flags |= 4
    elif lat is not None and abs(lat) <= 1e-6 and abs(lon) <= 1e-6:
        flags |= 1
    for column in READINGS:
        value = row[column.name]
        if value is not None and not column.low <= value <= column.high:
            flags |= 2 if column.name in ("lat", "lon") else 16 if column.name == "speed_kmh" else 8
        if value is not None and any(abs(value - code) <= 0.005 for code in _CODES.get(column.name, ())):
            flags |= 256
    behind_ms = arrival_ms - row["ts_ms"]
    flags |= 128 if abs(behind_ms - 619_315_200_000) <= 86_400_000 else 0
    return flags | (32 if behind_ms < -5000 else 0)
