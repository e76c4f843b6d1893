"""One value of a device's JSON as the record says it, by the words of a mapping; None is no value."""

import math
import re
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from contracts.mapping import NULL_ANYWHERE, NULL_NO_TEXT, YES_NO, EventTime, Mapping, Source
from contracts.time_texts import is_rfc3339, parse_format, parse_time, rfc3339

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_ANGLE = re.compile(
    r"(?P<before>[NSEWnsew]?)\s*(?P<number>[+-]?[0-9]+(?:\.[0-9]*)?)\s*(?P<after>[NSEWnsew]?)", re.ASCII
)
_LETTERS = {"lat": "NS", "lon": "EW"}
_PLACES, _SIXTY = 9, 60
_PER_S = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_FARTHEST_MS = 2**53
_LONGEST = 100
"""Characters of a number or a time: what is longer is none, and patterns need not look."""
_LARGEST = 2**63
"""A whole number beyond is no measure of anything, and may be more than a double holds."""
_EXACT = 2**53
"""Up to here a double holds every whole number."""


class Reading(NamedTuple):
    """How texts are read: the decimal mark of numbers, which texts are no value where a number belongs, and which are
    none anywhere.
    """

    decimal: str
    nulls: frozenset[str]
    nulls_in_text: frozenset[str]

    @classmethod
    def of(cls, mapping: Mapping) -> "Reading":
        """As the mapping has it."""
        if mapping.null is None:
            return cls(mapping.decimal or ".", frozenset((*NULL_ANYWHERE, *NULL_NO_TEXT)), frozenset())
        return cls(mapping.decimal or ".", frozenset(("", *mapping.null)), frozenset(mapping.null))


def is_measure(value: Any) -> bool:
    """Whether it is a number that a reading may have."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST


def number(value: Any, source: Source, reading: Reading) -> int | float | None:
    """A number, scaled as the source says. ValueError: there is a value, and it is no number."""
    if isinstance(value, str):
        value = _number_in_text(value, reading)
    if value is None:
        return None
    if not is_measure(value):
        raise ValueError(value)
    if isinstance(value, int) and not source.scaled:
        return value
    return _rounded(_finite(float(value) * source.factor + source.offset), source.decimals)


def angle(name: str, value: Any, hemisphere: Any, source: Source, reading: Reading) -> float | None:
    """Degrees, as `source.convert` and the hemisphere say; None for what is no angle of that form."""
    size, letter = _angle_parts(value, reading)
    if size is None:
        return None
    if source.hemisphere is not None:
        letter = hemisphere.strip()[:1].upper() if isinstance(hemisphere, str) else ""
    allowed = _LETTERS.get(name, "NSEW")
    if letter not in allowed or (source.hemisphere is not None and not letter):
        return None
    if size < 0 and letter and letter in "SW":
        return None  # Twice negative: nobody knows what is meant.
    degrees = _degrees(abs(size), source.convert)
    sign = -1.0 if size < 0 or (letter and letter in "SW") else 1.0
    made = None if degrees is None else degrees * sign * source.factor + source.offset
    return None if made is None else _rounded(_finite(made), source.decimals or _PLACES)


def text(value: Any, reading: Reading) -> str | None:
    """Any value as text; JSON for what holds others."""
    if value is None or (isinstance(value, str) and value in reading.nulls_in_text):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return msgspec.json.encode(value).decode()
    return value if isinstance(value, str) else str(value)


def identifier(value: Any, reading: Reading) -> str | None:
    """A device's or an event's id; a whole number has no point."""
    if isinstance(value, str):
        return None if value in reading.nulls else value
    if isinstance(value, float) and math.isfinite(value) and value == int(value) and abs(value) < _EXACT:
        return str(int(value))
    return text(value, reading)


def yes_or_no(value: Any, reading: Reading) -> Any:
    """True or false; what is neither, as it is, for the consumer to flag."""
    if isinstance(value, str):
        word = value.strip()
        return None if word in reading.nulls else YES_NO.get(word.lower(), value)
    return bool(value) if value in (0, 1) else value


def codes(value: Any, separator: str | None, reading: Reading) -> list[str] | None:
    """A list of texts: a list, a JSON list in text, or what stands between separators."""
    if value is None or (isinstance(value, str) and value in reading.nulls):
        return None
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.MsgspecError, RecursionError):
            value = [value]
    elif isinstance(value, str):
        value = [value] if separator is None else value.split(separator)
    listed = value if isinstance(value, list) else [value]
    made = [text(code, reading) for code in listed]
    return [code.strip() for code in made if code is not None and code.strip()]


def event_time(value: Any, rule: EventTime, zone: ZoneInfo | None) -> int | str | None:
    """What goes into `ts`: epoch milliseconds, or RFC 3339. A text that is no time goes as it is; None is no time."""
    if is_measure(value) and rule.format is not None:
        value = str(int(value)) if value == int(value) else str(value)
    if is_measure(value):
        return _ms_of(value, rule.unit)
    if not isinstance(value, str):
        return None
    word = value.strip()
    if len(word) > _LONGEST:
        return word
    if rule.format is None and _NUMBER.fullmatch(word):
        return _ms_of(int(word) if _WHOLE.fullmatch(word) else float(word), rule.unit)
    if rule.format is None and is_rfc3339(word):
        return word
    moment = parse_time(word) if rule.format is None else parse_format(word, rule.format)
    return word if moment is None else _on_the_clock(moment, zone) or word


def _on_the_clock(moment: datetime, zone: ZoneInfo | None) -> str | None:
    """RFC 3339 of a time with a zone, or of one on the zone's clock, by replay's rule for clock changes."""
    if moment.tzinfo is None:
        if zone is None:
            return None
        moment = moment.replace(tzinfo=zone)
    return rfc3339(moment)


def _ms_of(value: int | float, unit: str) -> int | None:
    """Whole epoch milliseconds, cut; None for what no clock shows."""
    if not is_measure(value):
        return None
    per_s = _PER_S[unit]
    if isinstance(value, int):
        ms = value * 1_000 // per_s
    elif unit == "s":
        whole_s = math.floor(value)
        # A double may be a little less than the time that it stands for: by half of the step to the next at most.
        ms = whole_s * 1000 + math.floor((value - whole_s + math.ulp(value) / 2) * 1000)
    else:
        ms = math.floor(value / (per_s / 1_000))
    return ms if abs(ms) < _FARTHEST_MS else None


def _number_in_text(value: str, reading: Reading) -> int | float | None:
    word = value.strip()
    if word in reading.nulls:
        return None
    if reading.decimal == ",":
        word = word.replace(".", "_").replace(",", ".")
    if len(word) > _LONGEST or not _NUMBER.fullmatch(word):
        raise ValueError(value)
    return int(word) if _WHOLE.fullmatch(word) else float(word)


def _angle_parts(value: Any, reading: Reading) -> tuple[float | None, str]:
    """A signed number, and the letter beside it."""
    if is_measure(value):
        return float(value), ""
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None, ""
    found = _ANGLE.fullmatch(value.strip().replace(",", ".") if reading.decimal == "," else value.strip())
    if found is None or (found["before"] and found["after"]):
        return None, ""
    size = float(found["number"])
    return (size if math.isfinite(size) else None), (found["before"] or found["after"]).upper()


def _degrees(size: float, convert: str | None) -> float | None:
    """dddmm.mmmm or dddmmss.sss to degrees; None where minutes or seconds are 60 and more."""
    if convert is None:
        return size
    if convert == "degrees_minutes_seconds":
        size, seconds = divmod(size, 100)
        if seconds >= _SIXTY:
            return None
        size += seconds / _SIXTY
    degrees, minutes = divmod(size, 100)
    return degrees + minutes / _SIXTY if minutes < _SIXTY else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _rounded(value: float | None, decimals: int | None) -> float | None:
    """To so many places as numpy does it, so that a replayed file gives the same bytes."""
    if value is None or decimals is None:
        return value
    try:
        return _finite(round(value * 10.0**decimals) / 10.0**decimals) if abs(value) < _EXACT else value
    except OverflowError:  # More places than a double has.
        return value
