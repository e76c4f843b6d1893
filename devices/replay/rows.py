"""Turns batches of a file's columns into user records."""

from collections.abc import Mapping as Columns
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.identity import exported_event_id
from contracts.mapping import FromColumn, Source
from contracts.registry import Device
from devices.encode import RowEncoder, Values, constant
from devices.outgoing import NO_KEY, Outgoing
from devices.replay.angles import check_decimal_degrees, check_hemispheres
from devices.replay.findings import Findings
from devices.replay.numbers import TextRules
from devices.replay.plan import DEVICE_ID, Plan
from devices.replay.texts import texts
from devices.replay.times import UNKNOWN, check_readable, event_times
from devices.replay.values import ValueReader


@dataclass(slots=True)
class Seen:
    """What was read so far: devices with their registry entries, the first and last event time (epoch ms), and what was
    found out about the file.
    """

    findings: Findings = field(default_factory=Findings)
    devices: dict[str, Device | None] = field(default_factory=dict)
    first_ms: int | None = None
    last_ms: int | None = None

    def times(self, ms: NDArray[np.int64]) -> None:
        """Extend first and last by these times."""
        known = ms[ms != UNKNOWN]
        if known.size:
            low, high = int(known.min()), int(known.max())
            self.first_ms = low if self.first_ms is None else min(self.first_ms, low)
            self.last_ms = high if self.last_ms is None else max(self.last_ms, high)


class RowMaker:
    """Makes the records of one file. The same row always gives the same bytes. Notes what goes by in `seen`.

    columns: those of the file that it needs. dropped: those that are not sent.
    """

    def __init__(
        self,
        plan: Plan,
        kinds: Columns[str, pa.DataType],
        file: str,
        seen: Seen,
        rules: TextRules,
        *,
        is_csv: bool = False,
    ) -> None:
        self._plan, self._kinds, self._file = plan, kinds, file
        own = {name for name, _ in plan.fields}
        # A file that has its own signals or attributes map: further columns are put into that map.
        self._signals = () if "signals" in own else tuple(name for name, _ in plan.signals)
        self._attributes = () if "attributes" in own else tuple(name for name, _ in plan.attributes)
        self._constants = {name: value for name, value in plan.mapping.constants.items() if name != DEVICE_ID}
        self._identity = plan.identity if "event_id" not in self._constants else None
        names = [name for name, _ in plan.fields]
        if self._identity is not None and "event_id" not in names:
            names.insert(0, "event_id")
        self._names = tuple(names)
        self._encoder = RowEncoder([DEVICE_ID, "ts", *self._names, *self._constants], self._signals, self._attributes)
        self._reader = ValueReader(rules, seen.findings, is_csv=is_csv)
        self.seen, self.columns, self.dropped = seen, plan.columns, plan.dropped

    def make(self, batch: pa.RecordBatch) -> Outgoing:
        """The batch's records, one a row, in order. Notes what went by in `seen`.

        Raises BadInputFile where no row so far has a time that can be read, or its positions are no decimal degrees.
        """
        plan, rows = self._plan, batch.num_rows
        if self.seen.first_ms is None and rows:
            self._check_positions(batch)
        devices = self._device_ids(batch)
        ts, ms = self._times(batch[plan.mapping.ts.column])
        signals = [self._reader.signal(name, *self._read(source, batch)) for name, source in plan.signals]
        attributes = [self._reader.attribute(source.column, batch[source.column]) for _, source in plan.attributes]
        fields = [self._field(name, batch, signals, attributes) for name in self._names]
        constants = [constant(value, rows) for value in self._constants.values()]
        payloads = self._encoder.encode(
            [devices, ts, *fields, *constants],
            signals if self._signals else (),
            attributes if self._attributes else (),
        )
        self._note(devices, ms, batch)
        return Outgoing([device or NO_KEY for device in devices], payloads, ms)

    def _times(self, values: pa.Array) -> tuple[Values, NDArray[np.int64]]:
        rule, findings = self._plan.mapping.ts, self.seen.findings
        sent, ms, skipped, doubled = event_times(values, rule, self._file)
        if self.seen.first_ms is None and len(ms):
            check_readable(values, ms, rule, self._file)
        findings.skipped_hour += skipped
        findings.doubled_hour += doubled
        findings.no_time += int((ms == UNKNOWN).sum())
        return sent, ms

    def _device_ids(self, batch: pa.RecordBatch) -> list[str | None]:
        rule, constants = self._plan.mapping.device_id, self._plan.mapping.constants
        if DEVICE_ID in constants:
            return constant(constants[DEVICE_ID], batch.num_rows)
        found = self._reader.device_ids(rule.column, batch[rule.column], self._kinds[rule.column])
        return [None if device is None else rule.prefix + device for device in found]

    def _check_positions(self, batch: pa.RecordBatch) -> None:
        plain = {name: source for name, source in self._plan.fields if name in ("lat", "lon") and not source.is_angle}
        degrees = {name: source.column for name, source in plain.items() if not source.scaled}
        check_decimal_degrees(degrees, batch, self._file)
        unnamed = [column for column in self._plan.unnamed if column in batch.schema.names]
        check_hemispheres(batch, unnamed, {name: source.column for name, source in plain.items()}, self._file)

    def _read(self, source: Source, batch: pa.RecordBatch) -> tuple[Source, pa.Array, pa.DataType, pa.Array | None]:
        hemispheres = None if source.hemisphere is None else batch[source.hemisphere]
        return source, batch[source.column], self._kinds[source.column], hemispheres

    def _field(self, name: str, batch: pa.RecordBatch, signals: list[Values], attributes: list[Values]) -> Values:
        source = dict(self._plan.fields).get(name)
        values = [None] * batch.num_rows if source is None else self._reader.field(name, *self._read(source, batch))
        if name == "event_id" and self._identity is not None:
            return identities(values, batch[self._identity])
        if name == "signals" and signals:
            return _merged(values, [name for name, _ in self._plan.signals], signals)
        if name == "attributes" and attributes:
            return _merged(values, [name for name, _ in self._plan.attributes], attributes)
        return values

    def _note(self, devices: list[str | None], ms: NDArray[np.int64], batch: pa.RecordBatch) -> None:
        self.seen.times(ms)
        rule = self._plan.mapping.registry
        new = {device for device in devices if device is not None} - self.seen.devices.keys()
        for device in sorted(new):
            if rule is None:
                self.seen.devices[device] = None
                continue
            row = devices.index(device)
            known: dict[str, Any] = {
                name: texts(batch[of.column].slice(row, 1))[0] if isinstance(of, FromColumn) else of
                for name, of in (("make", rule.make), ("model", rule.model), ("fuel", rule.fuel))
            }
            self.seen.devices[device] = Device(device_id=device, fleet_id=rule.fleet, type=rule.type, **known)


def identities(event_ids: Values, record_ids: pa.Array) -> Values:
    """Event ids; an exported record that has none gets one that stands for its record_id, and stays the same record."""
    return [
        exported_event_id(exported) if own is None and exported is not None else own
        for own, exported in zip(event_ids, texts(record_ids), strict=True)
    ]


def _merged(maps: Values, names: list[str], values: list[Values]) -> Values:
    made = []
    for own, *further in zip(maps, *values, strict=True):
        extra = {name: value for name, value in zip(names, further, strict=True) if value is not None}
        made.append({**own, **extra} if isinstance(own, dict) else (extra or None) if own is None else own)
    return made
