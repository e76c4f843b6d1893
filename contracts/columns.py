"""The columns of every table, defined once: type, unit, bounds and privacy class of each."""

from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")
"""Times are stored in microseconds (Iceberg's timestamptz); an event time holds whole milliseconds."""


class Privacy(StrEnum):
    """What a column says about people, which decides where it may go."""

    IDENTIFIER = "identifier"
    """Names a device, a message or a person: never in logs, metadata or results of checks."""
    ORGANISATION = "organisation"
    """Names a customer, not a person."""
    PSEUDONYM = "pseudonym"
    """A keyed hash that stands for a device or a person."""
    CREDENTIAL = "credential"
    """Proves who speaks: a certificate, a key, the hash of a secret."""
    LOCATION = "location"
    """Where a device was."""
    BEHAVIOUR = "behaviour"
    """How a device was used."""
    FREE_TEXT = "free_text"
    """Whatever a device chose to send; may hold anything."""
    TECHNICAL = "technical"
    """How the record travelled."""
    AGGREGATE = "aggregate"
    """Over a cohort; may be released under the release policy."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `low` and `high` are the inclusive bounds of a plausible value, in `unit`."""

    name: str
    type: pa.DataType
    privacy: Privacy
    doc: str
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    required: bool = False

    @property
    def field(self) -> pa.Field:
        """The column as a field of an Arrow schema, with its meaning as metadata."""
        meaning = {"doc": self.doc, "privacy": self.privacy.value}
        if self.unit:
            meaning["unit"] = self.unit
        return pa.field(self.name, self.type, nullable=not self.required, metadata=meaning)


def schema_of(columns: tuple[Column, ...]) -> pa.Schema:
    """The Arrow schema of a table of these columns."""
    return pa.schema([column.field for column in columns])


def in_schema(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows with the schema's columns, types and order, whatever version of the schema they were written in.

    A column that `rows` lacks is null; one that the schema lacks is left out. Raises pa.ArrowInvalid if a value does
    not fit its column's type.
    """
    if rows.schema.equals(schema):
        return rows
    names = set(rows.column_names)
    columns = [
        rows.column(field.name).cast(field.type) if field.name in names else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
