"""Turns batches of a file's columns into user records."""

from collections.abc import Mapping as Columns
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.registry import Device
from devices.encode import RowEncoder, Values, constant
from devices.outgoing import NO_KEY, Outgoing
from devices.replay.mapping import FromColumn
from devices.replay.plan import Plan
from devices.replay.times import UNKNOWN, check_readable, event_times
from devices.replay.values import field_values, text_values


@dataclass(slots=True)
class Seen:
    """What was read so far: devices with their registry entries, and the first and last event time (epoch ms)."""

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

    def __init__(self, plan: Plan, kinds: Columns[str, pa.DataType], file: str, seen: Seen) -> None:
        self._plan, self._kinds, self._file = plan, kinds, file
        own = {name for name, _ in plan.fields}
        # A file that has its own signals or attributes map: further columns are put into that map.
        self._signals = () if "signals" in own else tuple(name for name, _ in plan.signals)
        self._attributes = () if "attributes" in own else tuple(name for name, _ in plan.attributes)
        constants = plan.mapping.constants
        self._encoder = RowEncoder(
            ["device_id", "ts", *(name for name, _ in plan.fields), *constants], self._signals, self._attributes
        )
        self.seen, self.columns, self.dropped = seen, plan.columns, plan.dropped

    def make(self, batch: pa.RecordBatch) -> Outgoing:
        """The batch's records, one a row, in order. Notes what went by in `seen`.

        Raises BadInputFile where no row so far has a time that can be read.
        """
        plan, rows = self._plan, batch.num_rows
        devices = self._device_ids(batch)
        ts, ms = self._times(batch[plan.mapping.ts.column])
        signals = [self._values(name, source.column, batch) for name, source in plan.signals]
        attributes = [text_values(batch[source.column]) for _, source in plan.attributes]
        fields = [self._field(name, batch, signals, attributes) for name, _ in plan.fields]
        constants = [constant(value, rows) for value in plan.mapping.constants.values()]
        payloads = self._encoder.encode(
            [devices, ts, *fields, *constants],
            signals if self._signals else (),
            attributes if self._attributes else (),
        )
        self._note(devices, ms, batch)
        return Outgoing([device or NO_KEY for device in devices], payloads, ms)

    def _times(self, values: pa.Array) -> tuple[Values, NDArray[np.int64]]:
        rule = self._plan.mapping.ts
        ts, ms = event_times(values, rule, self._file)
        if self.seen.first_ms is None and len(ms):
            check_readable(values, ms, rule, self._file)
        return ts, ms

    def _device_ids(self, batch: pa.RecordBatch) -> list[str | None]:
        rule = self._plan.mapping.device_id
        return [None if device is None else rule.prefix + device for device in text_values(batch[rule.column])]

    def _values(self, name: str, column: str, batch: pa.RecordBatch) -> Values:
        source = dict(self._plan.signals)[name]
        return field_values(name, source, batch[column], self._kinds[column])

    def _field(self, name: str, batch: pa.RecordBatch, signals: list[Values], attributes: list[Values]) -> Values:
        source = dict(self._plan.fields)[name]
        values = field_values(name, source, batch[source.column], self._kinds[source.column])
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
            texts: dict[str, Any] = {
                name: text_values(batch[of.column].slice(row, 1))[0] if isinstance(of, FromColumn) else of
                for name, of in (("make", rule.make), ("model", rule.model), ("fuel", rule.fuel))
            }
            self.seen.devices[device] = Device(device_id=device, fleet_id=rule.fleet, type=rule.type, **texts)


def _merged(maps: Values, names: list[str], values: list[Values]) -> Values:
    made = []
    for own, *further in zip(maps, *values, strict=True):
        extra = {name: value for name, value in zip(names, further, strict=True) if value is not None}
        made.append({**own, **extra} if isinstance(own, dict) else (extra or None) if own is None else own)
    return made
