"""What an erasure asks of every store, and of whom: the interface of an adapter beside each store.

A scope is a set of devices, each wholly or within a range of event time: a request by a device names it wholly, one by
a data subject the times in which they had it (GDPR Art. 17(1); Art. 4(1): a device's data are those of who uses it).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import md5
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

Counts = Mapping[str, int]
"""Rows, objects or keys by the name of the store that they are in."""
_ID = rb"A-Za-z0-9._:\-"
_DERIVED = rb"-(?:[a-z_]+-)?\d{10,}"
"""What follows a device's id in the ids of its trips and episodes."""


@dataclass(frozen=True, slots=True)
class Portion:
    """A device, wholly or in [start, end) of event time; either may be open."""

    device_id: str
    start: datetime | None = None
    end: datetime | None = None

    @property
    def whole(self) -> bool:
        """Whether all of the device is meant, whenever it was."""
        return self.start is None and self.end is None

    def touches(self, first: datetime | None, last: datetime | None) -> bool:
        """Whether something of [first, last] may be meant; None is unknown."""
        before = self.end is not None and first is not None and first >= self.end
        after = self.start is not None and last is not None and last < self.start
        return not (before or after)


@dataclass(frozen=True)
class Scope:
    """What a request is about. subject: the person, where a person asked."""

    portions: tuple[Portion, ...]
    subject: str | None = None
    request_id: str = ""

    @property
    def devices(self) -> tuple[str, ...]:
        """All devices, in order."""
        return tuple(sorted({portion.device_id for portion in self.portions}))

    @property
    def whole_devices(self) -> tuple[str, ...]:
        """Those that are meant whenever it was."""
        return tuple(sorted({portion.device_id for portion in self.portions if portion.whole}))

    @property
    def ranges(self) -> tuple[Portion, ...]:
        """Those that are meant in part."""
        return tuple(portion for portion in self.portions if not portion.whole)

    def touches(self, first: datetime | None, last: datetime | None) -> bool:
        """Whether records between these times may be meant."""
        return any(portion.touches(first, last) for portion in self.portions)

    def mask(self, device_ids: pa.ChunkedArray, ts: pa.ChunkedArray | None = None) -> pa.ChunkedArray:
        """Which rows are meant. ts: their event times; without, a device that is meant in part counts."""
        meant = pc.is_in(device_ids, value_set=pa.array(self.whole_devices, pa.string()))
        for portion in self.ranges:
            own = pc.equal(device_ids, pa.scalar(portion.device_id))
            if ts is not None and portion.start is not None:
                own = pc.and_(own, pc.greater_equal(ts, pa.scalar(portion.start, ts.type)))
            if ts is not None and portion.end is not None:
                own = pc.and_(own, pc.less(ts, pa.scalar(portion.end, ts.type)))
            meant = pc.or_(meant, own)
        return pc.fill_null(meant, False)

    @cached_property
    def needles(self) -> "Needles":
        """What betrays the devices, and the person, in bytes that have no columns."""
        return Needles([*self.devices, *([self.subject] if self.subject else [])])

    def document(self) -> dict[str, Any]:
        """JSON-able. It names the devices: for privacy.requests alone."""
        return {
            "subject": self.subject,
            "portions": [[one.device_id, _text(one.start), _text(one.end)] for one in self.portions],
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any], request_id: str) -> "Scope":
        """The scope of `document`."""
        portions = tuple(Portion(name, _time(start), _time(end)) for name, start, end in document["portions"])
        return cls(portions, document["subject"], request_id)


class Needles:
    """Names to look for in bytes, and what stands for a device where it was hashed without a key.

    A partition key's MD5 is in the keys of records that were put back (ingest.replay.origin).
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(sorted({name.encode() for name in names if name}))
        self.hashes = tuple(md5(name, usedforsecurity=False).hexdigest().encode() for name in self._names)
        whole = b"|".join(map(re.escape, self._names)) or b"(?!)"
        ends = b"(?=$|[^" + _ID + b"]|" + _DERIVED + b"(?![" + _ID + b"]))"
        bounded = b"(?:(?<![A-Za-z0-9._\\-])(?:" + whole + b")" + ends + b")"
        hashed = b"|".join(self.hashes) or b"(?!)"
        self._bounded = re.compile(bounded + b"|" + hashed)
        self._anywhere = re.compile(whole + b"|" + hashed)
        self._within_no_id = re.compile(b"(?<![" + _ID + b"]:)" + bounded + b"|" + hashed)

    def found_in(self, data: bytes | str, *, anywhere: bool = False) -> int:
        """How often one of the names stands in it, as a word of its own; `anywhere`: also within longer names."""
        data = data.encode() if isinstance(data, str) else data
        pattern = self._anywhere if anywhere else self._bounded
        return sum(1 for _ in pattern.finditer(data))

    def rows_in(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Which values of a text or binary column hold one of the names; `a:b` is another device than `b`."""
        texts = column.cast(pa.large_binary()).to_pylist()
        search = self._within_no_id.search
        return pa.chunked_array([pa.array([value is not None and search(value) is not None for value in texts])])


@dataclass(frozen=True, slots=True)
class Remains:
    """What an erasure does not reach at once: what, until when, and why. until is None where it was not known."""

    what: str
    until: datetime | None
    why: str

    def document(self) -> dict[str, Any]:
        """JSON-able."""
        return {"what": self.what, "until": _text(self.until), "why": self.why}


class Erasable(Protocol):
    """A store from which a scope can be taken out.

    Promises
    - `stores` names everything that the adapter answers for (contracts.stores).
    - `count` and `search` change nothing. `count` is of what `erase` would take out; `search` decodes what is there,
      whether it is in use or not, and counts what still names the scope.
    - `erase` may be killed, repeated, and run beside readers and writers: the end is the same. It returns what it took
      out in this call; afterwards `count` is 0 in every store.
    - Nothing that any of them raises, logs or returns names a device or a person.
    """

    @property
    def name(self) -> str: ...

    @property
    def stores(self) -> Sequence[str]: ...

    def count(self, scope: Scope) -> Counts: ...

    def erase(self, scope: Scope) -> Counts: ...

    def search(self, scope: Scope) -> Counts: ...

    def expires(self, now: datetime) -> list[Remains]: ...


class Plantable(Erasable, Protocol):
    """A store in which a name that nobody has can stand for the time of an erasure: a canary of its search.

    Promises
    - `plant` may be repeated. Nothing that reads the store shows what it put; `search` finds it, `erase` takes it out.
      It returns the stores that it is in. scope: of one device, whole.
    """

    def plant(self, scope: Scope) -> Sequence[str]: ...


def total(counts: Counts) -> int:
    """All of them together."""
    return sum(counts.values())


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
