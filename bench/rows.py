"""A row of a benchmark's report."""

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure and its peer's from the same run. ratio: value / peer_value."""

    id: str = ""
    """A stable name for programs; `what` is for people."""
    what: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
