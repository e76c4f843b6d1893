"""Reads one record exactly. This defines what a record means; the faster readers must agree on what they accept."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from contracts.record import MAX_RECORD_BYTES, RejectReason
from ingest.decode.fields import VALUE_DECODERS
from ingest.decode.surrogates import members
from ingest.decode.times import IMPOSSIBLE_MS

MAX_NESTING = 64
"""Objects and lists within each other that a record may hold. The bound is our own, so that the result does
not depend on how much of the interpreter's stack is in use."""

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_WITH_NULLS: dict[str, msgspec.json.Decoder[Any]] = {
    "signals": msgspec.json.Decoder(dict[str, float | None]),
    "attributes": msgspec.json.Decoder(dict[str, str | None]),
}
_INTEGER = re.compile(rb"-?[0-9]+")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""A string, or where its end is missing all that follows: it matches at every quote, so no byte is looked at twice."""
_MAX_DIGITS = 18
_HALF = "half of a surrogate pair"
_TOO_DEEP = f"nested deeper than {MAX_NESTING}"


class Unplaceable(ValueError):
    """The record cannot be placed. `error` says what is wrong, without values of the record."""

    def __init__(self, reason: RejectReason, error: str) -> None:
        super().__init__(error)
        self.reason = reason
        self.error = error


@dataclass(slots=True)
class ExactRecord:
    """Field values by name. `wrong` names the optional fields of the wrong type."""

    values: dict[str, Any]
    wrong: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def read_exactly(data: bytes) -> ExactRecord:
    """Read one user record. Raises Unplaceable.

    The last of equal keys counts, as in JSON readers everywhere. null is the same as absent, in signals and attributes
    too; an empty event_id is, too, once it is a column. Of the wrong type are a number beyond a double's range, a ts
    that is a number but not an integer, true or false for a number, and text with half of a surrogate pair.
    """
    raws = _object(data)
    record = ExactRecord({"device_id": _device_id(raws), "ts": _ts(raws)})
    kept: dict[str, str] = {}
    for name, raw in raws.items():
        decoder = VALUE_DECODERS.get(name)
        if decoder is None:
            if name not in record.values:
                record.unknown.append(name)
            continue
        text = bytes(raw)
        if text == b"null":
            continue
        try:
            record.values[name] = decoder.decode(text)
        except msgspec.DecodeError:
            entries = _without_nulls(name, text)
            if entries is not None:
                record.values[name] = entries
                continue
            record.wrong.append(name)
            kept[name] = text.decode()
    if kept:
        record.values["attributes"] = _with_originals(record.values.get("attributes"), kept)
    return record


def check_text(data: bytes) -> None:
    """Raises Unplaceable if JSON that msgspec has read is not UTF-8 or nests deeper than MAX_NESTING: msgspec checks
    neither in values that it skips.
    """
    if wrong := _not_utf8(data):
        raise Unplaceable(RejectReason.NOT_JSON, wrong)
    if data.count(b"[") + data.count(b"{") > MAX_NESTING and _nesting(data) > MAX_NESTING:
        raise Unplaceable(RejectReason.NOT_JSON, _TOO_DEEP)


def too_large(size: int) -> Unplaceable:
    """The refusal of a record of `size` bytes."""
    return Unplaceable(RejectReason.TOO_LARGE, f"{size} bytes exceed {MAX_RECORD_BYTES}")


def _without_nulls(name: str, text: bytes) -> dict[str, Any] | None:
    """The entries of a map that are not null, or None where that is not all that is wrong with it."""
    decoder = _WITH_NULLS.get(name)
    if decoder is None:
        return None
    try:
        entries = decoder.decode(text)
    except msgspec.DecodeError:
        return None
    return {key: value for key, value in entries.items() if value is not None}


def _object(data: bytes) -> Mapping[str, msgspec.Raw | bytes]:
    if len(data) > MAX_RECORD_BYTES:
        raise too_large(len(data))
    try:
        raws: Mapping[str, msgspec.Raw | bytes] = _OBJECT.decode(data)
    except msgspec.ValidationError:
        raise Unplaceable(RejectReason.NOT_JSON, _other_than_object(data)) from None
    except msgspec.DecodeError as error:
        halves = _with_half_pairs(data)
        if halves is None:
            raise Unplaceable(RejectReason.NOT_JSON, _not_utf8(data) or str(error)) from None
        raws = halves
    except UnicodeDecodeError:
        raise Unplaceable(RejectReason.NOT_JSON, _not_utf8(data)) from None
    except RecursionError:
        raise Unplaceable(RejectReason.NOT_JSON, _TOO_DEEP) from None
    check_text(data)
    return raws


def _with_half_pairs(data: bytes) -> Mapping[str, bytes] | None:
    """Members of an object with half of a surrogate pair, JSON (RFC 8259, 8.2) that msgspec refuses; else None."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return members(data)
    return None


def _not_utf8(data: bytes) -> str:
    """Why bytes are not UTF-8; empty where they are."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start}"
    return ""


def _other_than_object(data: bytes) -> str:
    if data.lstrip().startswith(b'"'):
        return "not an object but a string; was the JSON encoded twice?"
    return "not an object"


def _device_id(raws: Mapping[str, msgspec.Raw | bytes]) -> str:
    raw = raws.get("device_id")
    if raw is None:
        raise Unplaceable(RejectReason.BAD_DEVICE_ID, "device_id is missing")
    try:
        return _TEXT.decode(raw)
    except msgspec.ValidationError:
        raise Unplaceable(RejectReason.BAD_DEVICE_ID, "device_id is not a string") from None
    except msgspec.DecodeError:
        raise Unplaceable(RejectReason.BAD_DEVICE_ID, f"device_id has {_HALF}") from None


def _ts(raws: Mapping[str, msgspec.Raw | bytes]) -> int | str:
    raw = raws.get("ts")
    if raw is None:
        raise Unplaceable(RejectReason.BAD_TS, "ts is missing")
    text = bytes(raw)
    if _INTEGER.fullmatch(text):
        # Longer integers lie beyond any time. They are never converted: that takes time quadratic in their length.
        if len(text.lstrip(b"-")) > _MAX_DIGITS:
            return -IMPOSSIBLE_MS if text.startswith(b"-") else IMPOSSIBLE_MS
        return int(text)
    try:
        return _TEXT.decode(text)
    except msgspec.ValidationError:
        raise Unplaceable(RejectReason.BAD_TS, "ts is neither a string nor an integer") from None
    except msgspec.DecodeError:
        raise Unplaceable(RejectReason.BAD_TS, f"ts has {_HALF}") from None


def _with_originals(attributes: dict[str, str] | None, kept: dict[str, str]) -> dict[str, str]:
    """Attributes plus the JSON text of values of the wrong type, each under its field's name.

    Where the device sent an attribute of that name, the attribute stays and the text goes under `name.sent`.
    """
    merged = dict(attributes or {})
    for name, text in kept.items():
        place = name
        while place in merged:
            place += ".sent"
        merged[place] = text
    return merged


def _nesting(data: bytes) -> int:
    buf = np.frombuffer(_STRING.sub(b"", data), np.uint8)
    opens = np.isin(buf, (ord("["), ord("{")))
    closes = np.isin(buf, (ord("]"), ord("}")))
    return int(np.max(np.cumsum(opens.astype(np.int64) - closes), initial=0))
