"""What differs between the contract's columns and those of an Iceberg table, and which of it can be evolved.

Only the table's metadata changes: files stay as they were written, and a column that they lack is null. A change that
could lose a value is refused. docs/adr/0099 says why each is as it is.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import DecimalType, DoubleType, FloatType, IcebergType, IntegerType, LongType, NestedField

from contracts.errors import SchemaMismatch


class Kind(StrEnum):
    """What is to be done about a difference."""

    ADD = "add"
    """The table lacks the column. It is null in what was written before, so the table does not require it."""
    OPTIONAL = "make optional"
    """The table requires what the contract does not."""
    WIDEN = "widen"
    """The contract's type holds every value of the table's. There is no way back."""
    REFUSED = "refused"
    """The contract's type cannot hold every value of the table's."""
    KEPT = "kept"
    """The contract lacks the column: another version's, or one that is no longer sent. Its values stay."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One column that is not in the table as the contract has it."""

    table: str
    column: str
    kind: Kind
    found: str = ""
    """Type in the table."""
    wanted: str = ""
    """Type in the contract."""


def differences(name: str, found: Schema, wanted: Schema) -> list[Difference]:
    """How the table `name` differs from its contract, by column of the contract and then of the table."""
    columns = {field.name: field for field in found.fields}
    result = [
        difference for field in wanted.fields if (difference := _difference(name, columns.get(field.name), field))
    ]
    known = {field.name for field in wanted.fields}
    return result + [
        Difference(table=name, column=field.name, kind=Kind.KEPT, found=str(field.field_type))
        for field in found.fields
        if field.name not in known
    ]


def evolve(table: Table, wanted: Schema, changes: Sequence[Difference], kinds: Sequence[Kind]) -> None:
    """Make those changes of these kinds, in one commit of metadata."""
    todo = [change for change in changes if change.kind in kinds]
    if not todo:
        return
    with table.update_schema() as update:
        for change in todo:
            field = wanted.find_field(change.column)
            if change.kind is Kind.ADD:
                update.add_column(field.name, field.field_type, doc=field.doc)
            elif change.kind is Kind.WIDEN:
                update.update_column(field.name, field.field_type)
            else:
                update.make_column_optional(field.name)


def refuse_other_types(changes: Sequence[Difference]) -> None:
    """Raises SchemaMismatch where the contract gives a column of a table another type."""
    told = [_told(change) for change in changes if change.kind in (Kind.WIDEN, Kind.REFUSED)]
    if told:
        raise SchemaMismatch("; ".join(told))


def _difference(name: str, found: NestedField | None, wanted: NestedField) -> Difference | None:
    if found is None:
        return Difference(table=name, column=wanted.name, kind=Kind.ADD, wanted=str(wanted.field_type))
    if str(found.field_type) != str(wanted.field_type):
        kind = Kind.WIDEN if is_wider(wanted.field_type, found.field_type) else Kind.REFUSED
    elif found.required and not wanted.required:
        kind = Kind.OPTIONAL
    else:
        return None
    types = {"found": str(found.field_type), "wanted": str(wanted.field_type)}
    return Difference(table=name, column=wanted.name, kind=kind, **types)


def is_wider(wanted: IcebergType, found: IcebergType) -> bool:
    """Whether Iceberg (format 2) reads every value of `found` as `wanted`."""
    if isinstance(wanted, DecimalType) and isinstance(found, DecimalType):
        return wanted.scale == found.scale and wanted.precision >= found.precision
    pairs = ((LongType, IntegerType), (DoubleType, FloatType))
    return any(isinstance(wanted, wide) and isinstance(found, narrow) for wide, narrow in pairs)


def _told(change: Difference) -> str:
    what = f"column {change.column} of {change.table} is {change.found}, the contract says {change.wanted}"
    if change.kind is Kind.WIDEN:
        return f"{what}: run 'fleetlake schema --apply' once, which cannot be taken back"
    return f"{what}, which cannot hold all that is there: keep the type, and give the new meaning a name of its own"
