"""The contract's fields as msgspec reads them: a struct to decode into, and a decoder for each field alone."""

import re
from collections.abc import Collection, Sequence
from types import NoneType
from typing import Annotated, Any

import msgspec

from contracts.record import CONTRACT, MAX_EVENT_ID, Record

EVENT_ID = Annotated[str, msgspec.Meta(max_length=MAX_EVENT_ID)]
LEARNABLE = re.compile(r"[A-Za-z0-9_.\- ]{1,64}")
"""Unknown names that may become places of a struct: those that JSON need not escape."""

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


def record_struct(unknown: Sequence[str] = (), absent: Collection[str] = ()) -> type[msgspec.Struct]:
    """A struct that takes exactly the contract's fields, less these absent ones, and these unknown names.

    It refuses any other name. An absent field is None in the class, and `absent` there names them all. Unknown names
    become the fields `unknown_0`, `unknown_1`, ... with the raw JSON as value, or UNSET.
    """
    fields: list[Any] = [("device_id", str), ("ts", int | str)]
    fields += [(name, optional_type(name) | None, None) for name in OPTIONAL if name not in absent]
    places = {f"unknown_{place}": name for place, name in enumerate(unknown)}
    fields += [(field, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for field in places]
    # Rows live for one batch and hold no cycles, so the garbage collector need not look at them.
    return msgspec.defstruct(
        "Row",
        fields,
        forbid_unknown_fields=True,
        gc=False,
        rename=places or None,
        module=__name__,
        namespace={"absent": frozenset(absent)} | dict.fromkeys(absent),
    )
