"""A mapping resolved against a file's columns: which column feeds which field, or what is wrong."""

from collections.abc import Mapping as Columns
from dataclasses import dataclass

import pyarrow as pa

from contracts.errors import BadInputFile, BadMapping
from contracts.mapping import FromColumn, Mapping, Source, as_source
from contracts.record import CONTRACT, ENVELOPE

_CONTRACT_NAMES = tuple(column.name for column in CONTRACT)
DEVICE_ID, RECORD_ID = "device_id", "record_id"
_ADDED_BY_STREAM = frozenset(column.name for column in ENVELOPE)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read and where it goes. fields, signals and attributes: (name in the record, source) in order."""

    mapping: Mapping
    fields: tuple[tuple[str, Source], ...]
    signals: tuple[tuple[str, Source], ...]
    attributes: tuple[tuple[str, Source], ...]
    dropped: tuple[str, ...]
    """Columns of the file that are not sent."""
    unnamed: tuple[str, ...]
    """Columns that neither the mapping nor the contract names."""
    identity: str | None
    """The column with the record_id that a trail was exported with, if there is one."""

    @property
    def columns(self) -> list[str]:
        """The file's columns that are needed, each once."""
        rule = self.mapping.registry
        registry = (
            [of.column for of in (rule.make, rule.model, rule.fuel) if isinstance(of, FromColumn)] if rule else []
        )
        sent = [column for _, source in (*self.fields, *self.signals, *self.attributes) for column in source.columns]
        device = [] if DEVICE_ID in self.mapping.constants else [self.mapping.device_id.column]
        identity = [] if self.identity is None else [self.identity]
        return list(dict.fromkeys([*device, self.mapping.ts.column, *sent, *registry, *identity]))


def resolve(mapping: Mapping, columns: Columns[str, pa.DataType], file: str) -> Plan:
    """How `mapping` applies to a file with these columns.

    Raises BadInputFile where the file has no device_id or ts, BadMapping where the mapping names a column that the
    file does not have.
    """
    _check_required(mapping, columns, file)
    named = {
        "fields": {name: as_source(source) for name, source in mapping.fields.items()},
        "signals": {name: as_source(source) for name, source in mapping.signals.items()},
        "attributes": {name: as_source(source) for name, source in mapping.attributes.items()},
    }
    _check_named(mapping, named, columns, file)
    used = {source.column for sources in named.values() for source in sources.values()}
    used |= {source.hemisphere for sources in named.values() for source in sources.values() if source.hemisphere}
    used |= {mapping.device_id.column, mapping.ts.column, *mapping.drop}
    for name in _CONTRACT_NAMES:
        if name in columns and name not in used and name not in named["fields"] and name not in mapping.constants:
            named["fields"][name] = Source(name)
            used.add(name)
    rest = [name for name in columns if name not in used and name not in _ADDED_BY_STREAM]
    if mapping.rest == "send":
        for name in rest:
            named["signals" if is_number(columns[name]) else "attributes"].setdefault(name, Source(name))
    order = {name: place for place, name in enumerate(_CONTRACT_NAMES)}
    sent = {column for sources in named.values() for source in sources.values() for column in source.columns}
    sent |= {mapping.device_id.column, mapping.ts.column}
    return Plan(
        mapping=mapping,
        fields=tuple(sorted(named["fields"].items(), key=lambda item: order[item[0]])),
        signals=tuple(named["signals"].items()),
        attributes=tuple(named["attributes"].items()),
        dropped=tuple(name for name in columns if name not in sent),
        unnamed=tuple(rest) if mapping.rest == "send" else (),
        identity=RECORD_ID if RECORD_ID in columns else None,
    )


def named_columns(mapping: Mapping) -> set[str]:
    """Every column that the mapping names."""
    sources = [as_source(source) for source in (*mapping.fields.values(), *mapping.signals.values())]
    named = {column for source in sources for column in source.columns} | set(mapping.attributes.values())
    if rule := mapping.registry:
        named |= {of.column for of in (rule.make, rule.model, rule.fuel) if isinstance(of, FromColumn)}
    return named | {mapping.device_id.column, mapping.ts.column, *mapping.drop}


def is_number(kind: pa.DataType) -> bool:
    """Whether a column's values go to signals rather than to attributes."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _check_required(mapping: Mapping, columns: Columns[str, pa.DataType], file: str) -> None:
    if DEVICE_ID in mapping.constants and DEVICE_ID in columns and DEVICE_ID not in mapping.drop:
        raise BadMapping(
            f"the mapping's [constants] device_id stands against the column of that name in {file}; "
            'leave it out, or list the column in drop = ["device_id"]'
        )
    for field, column in (("device_id", mapping.device_id.column), ("ts", mapping.ts.column)):
        if column in columns or (field == DEVICE_ID and DEVICE_ID in mapping.constants):
            continue
        if column != field:
            raise BadMapping(
                f"the mapping's [{field}] names column {column!r}, which {file} does not have; {_has(columns)}"
            )
        of_one = ', or give the id of a file of one device: [constants] device_id = "..."' if field == DEVICE_ID else ""
        raise BadInputFile(
            f"{file} has no column {field!r}; {_has(columns)}. "
            f'Name the right one in a mapping: [{field}] column = "..."{of_one}'
        )


def _check_named(
    mapping: Mapping, named: dict[str, dict[str, Source]], columns: Columns[str, pa.DataType], file: str
) -> None:
    wanted = [
        (f"[{table}] {name}", column)
        for table, sources in named.items()
        for name, source in sources.items()
        for column in source.columns
    ]
    wanted += [("drop", column) for column in mapping.drop]
    if rule := mapping.registry:
        texts = (("make", rule.make), ("model", rule.model), ("fuel", rule.fuel))
        wanted += [(f"[registry] {name}", text.column) for name, text in texts if isinstance(text, FromColumn)]
    for place, column in wanted:
        if column not in columns:
            raise BadMapping(
                f"the mapping's {place} names column {column!r}, which {file} does not have; {_has(columns)}"
            )


def _has(columns: Columns[str, pa.DataType]) -> str:
    return f"it has {', '.join(columns)}"
