"""Texts that stand for no value."""

import pyarrow as pa
import pyarrow.compute as pc

from contracts.mapping import NULL_ANYWHERE, NULL_NO_TEXT


class Nulls:
    """The null markers of one file. given: the mapping's, which stand for no value in every column.

    is_csv: a text cannot be null by itself. In other files it can, so that a text of the user's is what it says.
    """

    def __init__(self, given: list[str] | None, *, is_csv: bool) -> None:
        own = NULL_ANYWHERE if is_csv else ()
        self._anywhere = pa.array(own if given is None else given, pa.string())
        self._no_text = pa.array((*NULL_ANYWHERE, *NULL_NO_TEXT) if given is None else ["", *given], pa.string())

    def marked(self, values: pa.Array, *, free_text: bool) -> pa.Array:
        """Which values are null markers. free_text: the values are texts of the user's."""
        return pc.is_in(values, self._anywhere if free_text else self._no_text)

    @property
    def told(self) -> list[str]:
        """As the report says them."""
        listed: list[str] = self._no_text.to_pylist()
        return [text for text in listed if text]

    @property
    def told_in_text(self) -> list[str]:
        """Those that also count in texts of the user's."""
        listed: list[str] = self._anywhere.to_pylist()
        return listed


def without(values: pa.Array, which: pa.Array) -> pa.Array:
    """The values, null where `which` is true."""
    return pc.if_else(pc.fill_null(which, False), pa.scalar(None, values.type), values)
