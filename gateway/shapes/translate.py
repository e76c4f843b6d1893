"""Makes records of a device's own JSON, by a mapping."""

from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from contracts.errors import BadMapping
from contracts.mapping import Mapping, Source, as_source
from contracts.record import CONTRACT, ENVELOPE, LISTS, TEXTS
from gateway.intake.payload import MOST_RECORDS, records_of
from gateway.refusals import Refusal, Refused
from gateway.shapes.objects import OWN_MAPS, flat, read_object, records_within
from gateway.shapes.values import Reading, angle, codes, event_time, identifier, is_measure, number, text, yes_or_no

MOST_GROWTH, LEAST_BOUND = 8, 64 * 1024
"""The records of a message have together so many times its bytes at most, or so many bytes: what stands around a list
goes into each of its records.
"""
_ORDER = {column.name: place for place, column in enumerate(CONTRACT)}
_LISTS = frozenset(column.name for column in LISTS)
_TEXTS = frozenset(column.name for column in TEXTS)
_APART = OWN_MAPS | {"device_id", "ts"}
_LEFT_OUT = frozenset(column.name for column in ENVELOPE)
_NO_JSON = ("delimiter", "encoding", "sort_by", "registry")


class Translator:
    """Makes records by one mapping. The same message of the same device gives the same bytes, always.

    Promises
    - What cannot be read costs that value alone: a reading that is no number goes as it is, and the consumer flags it;
      a record without a time that can be read is put all the same, and the consumer keeps it as rejected.
    - Each record is of the device that the message names, or else of the topic's, or else of the sender.
    """

    def __init__(self, mapping: Mapping, records: str | None = None) -> None:
        """records: the path of the list that has the records. Raises BadMapping where a word has no meaning here."""
        for word in _NO_JSON:
            if getattr(mapping, word) is not None:
                raise BadMapping(f"{word} is for files; leave it out of a mapping for messages")
        if "device_id" in mapping.constants:
            raise BadMapping("[constants] device_id: a message is of the device that its topic or credential names")
        try:
            self._zone = None if mapping.ts.zone is None else ZoneInfo(mapping.ts.zone)
        except (KeyError, ValueError, OSError):
            raise BadMapping(f"[ts] zone {mapping.ts.zone!r} is no IANA zone") from None
        self._mapping, self._records, self._reading = mapping, records, Reading.of(mapping)
        named = {name: as_source(source) for name, source in mapping.fields.items()}
        self._signals = {name: as_source(source) for name, source in mapping.signals.items()}
        self._attributes = dict(mapping.attributes)
        self._used = self._columns(named.values())
        own = {name: Source(name) for name in _ORDER if name not in self._used and name not in _APART}
        fields = {name: source for name, source in {**own, **named}.items() if name not in mapping.constants}
        self._fields = [(name, fields[name]) for name in sorted(fields, key=_ORDER.__getitem__)]
        """In the contract's order: what the mapping names, and the contract's own names."""
        self._paths = frozenset(path for path in self._used if path.partition(".")[0] in OWN_MAPS and "." in path)

    def records_of(self, payload: bytes, sender: str, named: str | None) -> list[bytes]:
        """A message's records. named: the device that the topic names. Raises Refused."""
        most = max(LEAST_BOUND, MOST_GROWTH * len(payload))
        made: list[bytes] = []
        for data in records_of(payload):
            for found in records_within(read_object(data), self._records):
                made.append(self._record(found, sender, named))
                most -= len(made[-1])
                if most < 0 or len(made) > MOST_RECORDS:
                    raise Refused(Refusal.TOO_LARGE, "the message's records are too many, or too large together")
        if not made:
            raise Refused(Refusal.BAD_PAYLOAD, "the message has no record")
        return made

    def device_of(self, named: str) -> str:
        """The device that a topic names."""
        return self._mapping.device_id.prefix + named

    def _record(self, found: dict[str, Any], sender: str, named: str | None) -> bytes:
        columns = flat(found, self._paths)
        own = identifier(columns.get(self._mapping.device_id.column), self._reading)
        device_id = sender if own is None and named is None else self.device_of(own or named or "")
        record: dict[str, Any] = {"device_id": device_id}
        record["ts"] = event_time(columns.get(self._mapping.ts.column), self._mapping.ts, self._zone)
        record |= {
            name: self._field(name, source, columns) for name, source in self._fields if source.column in columns
        }
        record |= self._mapping.constants
        signals, attributes = self._maps(columns)
        self._rest(columns, signals, attributes)
        record |= {"signals": signals or None, "attributes": attributes or None}
        return msgspec.json.encode({name: value for name, value in record.items() if value is not None})

    def _maps(self, columns: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Signals and attributes: the message's own, and those that the mapping names."""
        signals = _entries(columns.get("signals"), self._number_or_none)
        signals |= {name: self._signal(source, columns) for name, source in self._signals.items()}
        attributes = _entries(columns.get("attributes"), lambda value: text(value, self._reading))
        attributes |= {name: text(columns.get(column), self._reading) for name, column in self._attributes.items()}
        return _present(signals), _present(attributes)

    def _rest(self, columns: dict[str, Any], signals: dict[str, Any], attributes: dict[str, Any]) -> None:
        """What nothing names: numbers to signals, all else to attributes."""
        if self._mapping.rest == "drop":
            return
        for name, value in columns.items():
            if name in self._used or name in _ORDER or name in _LEFT_OUT or value is None:
                continue
            if is_measure(value):
                signals.setdefault(name, value)
            elif (made := text(value, self._reading)) is not None:
                attributes.setdefault(name, made)

    def _field(self, name: str, source: Source, columns: dict[str, Any]) -> Any:
        value = columns.get(source.column)
        if name == "event_id":
            return identifier(value, self._reading)
        if name == "engine_on":
            return yes_or_no(value, self._reading)
        if name in _LISTS:
            return codes(value, source.separator, self._reading)
        if name in _TEXTS:
            return text(value, self._reading)
        try:
            return self._measured(name, source, columns)
        except ValueError:
            return value if isinstance(value, str | bool) else text(value, self._reading)

    def _signal(self, source: Source, columns: dict[str, Any]) -> int | float | None:
        """A number, or nothing: one that is none costs its row the whole map."""
        try:
            return self._measured("", source, columns)
        except ValueError:
            return None

    def _measured(self, name: str, source: Source, columns: dict[str, Any]) -> int | float | None:
        value = columns.get(source.column)
        if source.is_angle:
            hemisphere = columns.get(source.hemisphere) if source.hemisphere is not None else None
            return angle(name, value, hemisphere, source, self._reading)
        return number(value, source, self._reading)

    def _number_or_none(self, value: Any) -> int | float | None:
        try:
            return number(value, Source(""), self._reading)
        except ValueError:
            return None

    def _columns(self, fields: Iterable[Source]) -> frozenset[str]:
        """What the mapping names."""
        mapping = self._mapping
        sources = (*fields, *self._signals.values())
        named = {column for source in sources for column in source.columns} | set(self._attributes.values())
        return frozenset(named | {mapping.device_id.column, mapping.ts.column, *mapping.drop})


def _entries(found: Any, read: Any) -> dict[str, Any]:
    """A record's own map, if it has one."""
    return {name: read(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _present(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None}
