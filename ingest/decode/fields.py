"""The contract's fields as msgspec reads them: a struct to decode into, and a decoder for each field alone."""

from types import NoneType
from typing import Annotated, Any

import msgspec

from contracts.record import CONTRACT, MAX_EVENT_ID, Record

EVENT_ID = Annotated[str, msgspec.Meta(max_length=MAX_EVENT_ID)]

OPTIONAL: tuple[str, ...] = tuple(column.name for column in CONTRACT if not column.required)


def optional_type(name: str) -> Any:
    """The type of an optional field's value, without None."""
    if name == "event_id":
        return EVENT_ID
    kind = next(field.type for field in msgspec.structs.fields(Record) if field.name == name)
    (value,) = [part for part in kind.__args__ if part is not NoneType]
    return value


VALUE_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    name: msgspec.json.Decoder(optional_type(name)) for name in OPTIONAL
}
"""By optional field: reads one value of it, without None."""


def record_struct(*, forbid_unknown: bool = True) -> type[msgspec.Struct]:
    """A struct of the contract's fields, which refuses a record with any other name or skips that name's value."""
    fields: list[Any] = [("device_id", str), ("ts", int | str)]
    fields += [(name, optional_type(name) | None, None) for name in OPTIONAL]
    # Rows live for one batch and hold no cycles, so the garbage collector need not look at them.
    return msgspec.defstruct("Row", fields, forbid_unknown_fields=forbid_unknown, gc=False, module=__name__)
