"""What an answer to a data subject is made of: parts, each of one kind of data of one store.

GDPR Art. 15(1), (3): access, with a copy. Art. 20(1): a structured, commonly used and machine-readable form. Regulation
(EU) 2023/2854 (Data Act) Art. 4(1): the user's access to the data of a connected product.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from contracts.columns import Privacy
from contracts.erasable import Portion

Pages = Callable[[], Iterator[pa.Table]]
"""Rows, some at a time, all with the same columns."""
NOT_GIVEN = frozenset({Privacy.CREDENTIAL})
"""Whoever has these could speak for the device: they are left out, and said to be."""


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of data. name: of its files. store: of contracts.processing. is_track: it has ts, lat and lon."""

    name: str
    title: str
    doc: str
    store: str
    pages: Pages
    is_track: bool = False


def lies_within(portions: Sequence[Portion], device_id: str, first: datetime | None, last: datetime | None) -> bool:
    """Whether what lasts from `first` to `last` is of the device and wholly within a portion of it.

    What reaches beyond is about whoever had the device then as well: it is left out (Art. 15(4), 20(4)). Without times
    it is a fact of the device.
    """
    return any(
        one.device_id == device_id
        and (one.start is None or first is None or first >= one.start)
        and (one.end is None or last is None or last < one.end)
        for one in portions
    )
