"""Records of any form as structs: msgspec decodes the regular ones, the exact reader decides on the rest."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from contracts.record import CONTRACT, MAX_RECORD_BYTES, RejectReason
from ingest.decode.exact import Unplaceable, check_text, read_exactly, too_large
from ingest.decode.fields import record_struct

_Row = record_struct()
_decode_regular = msgspec.json.Decoder(_Row).decode
_decode_known = msgspec.json.Decoder(record_struct(forbid_unknown=False)).decode
_decode_keys = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_KNOWN = frozenset(column.name for column in CONTRACT)
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@dataclass(slots=True)
class Read:
    """Records as structs: `rows[i]` was read from the user record `places[i]`."""

    rows: list[Any]
    places: Sequence[int]
    refused: list[tuple[int, RejectReason, str]] = field(default_factory=list)
    """User record and why it cannot be placed. No exceptions: each would keep the frames that it passed."""
    wrong: list[int] = field(default_factory=list)
    """Indexes into `rows` of records with an optional field of the wrong type."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Number of records that hold each unknown name."""


def read_structs(datas: Sequence[bytes]) -> Read:
    """Read user records. Every record of `datas` ends in rows or in refused, in order.

    A struct takes the contract's fields with the contract's types and refuses everything else, so it is only ever
    right about regular records. `read_exactly` decides on what it refuses.
    """
    datas = list(datas)
    rows = _regular(datas)
    read = Read(rows, range(len(rows)))
    irregular = [place for place, row in enumerate(rows) if row is None]
    if not irregular:
        return read
    wrong: set[int] = set()
    unknown: list[str] = []
    for place in irregular:
        try:
            rows[place], is_wrong = _reread(datas[place], unknown)
        except Unplaceable as why:
            read.refused.append((place, why.reason, why.error))
            continue
        if is_wrong:
            wrong.add(place)
    read.places = [place for place, row in enumerate(rows) if row is not None]
    read.rows = [rows[place] for place in read.places]
    read.wrong = [index for index, place in enumerate(read.places) if place in wrong]
    read.unknown = Counter(unknown)
    return read


def values_of(rows: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """The values of each field of the contract in these rows."""
    if not rows:
        return dict.fromkeys(_Row.__struct_fields__, ())
    return dict(zip(_Row.__struct_fields__, zip(*map(msgspec.structs.astuple, rows), strict=True), strict=True))


def _regular(datas: list[bytes]) -> list[Any]:
    """A struct for each record, None where msgspec refuses it or it is too large."""
    rows: list[Any] = []
    decoded = map(_decode_regular, datas)
    while len(rows) < len(datas):
        try:
            rows.extend(decoded)
        except _REFUSED:
            # extend keeps what came before the error, so the culprit is the next record.
            rows.append(None)
    if max(map(len, datas), default=0) > MAX_RECORD_BYTES:
        return [None if len(data) > MAX_RECORD_BYTES else row for row, data in zip(rows, datas, strict=True)]
    return rows


def _reread(data: bytes, unknown: list[str]) -> tuple[Any, bool]:
    """Read one irregular record: its struct, and whether an optional field has the wrong type. Raises Unplaceable.

    Adds its unknown names to `unknown`. A record that is regular but for these needs no exact reader, which takes
    three times as long.
    """
    if len(data) > MAX_RECORD_BYTES:
        raise too_large(len(data))
    try:
        row = _decode_known(data)
        names = _decode_keys(data).keys()
    except _REFUSED:
        exact = read_exactly(data)
        unknown.extend(exact.unknown)
        return _Row(**exact.values), bool(exact.wrong)
    check_text(data)
    unknown.extend(names - _KNOWN)
    return row, False
