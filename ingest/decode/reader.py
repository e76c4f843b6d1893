"""Many records read fast: whole batches into structs, falling back to the exact reader one record at a time."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import msgspec

from contracts.record import MAX_RECORD_BYTES
from ingest.decode.exact import MAX_NESTING, Unplaceable, read_exactly
from ingest.decode.fieldlists import values_of
from ingest.decode.fields import LEARNABLE, OPTIONAL, record_struct

MAX_LEARNED = 64
"""Unknown names that the fast struct makes room for."""
WORTH_LEARNING = 16
"""Records of one batch that must hold an unknown name before the fast struct makes room for it."""
WORTH_LEAVING_OUT = 16_384
"""Records seen before the fast struct leaves out the fields that none of them had."""
_IRREGULAR = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(slots=True)
class Read:
    """Records as structs: `rows[i]` was read from the user record `places[i]`."""

    rows: list[Any]
    places: Sequence[int]
    refused: list[tuple[int, Unplaceable]] = field(default_factory=list)
    """User record and why it cannot be placed."""
    wrong: list[int] = field(default_factory=list)
    """Indexes into `rows` of records with an optional field of the wrong type."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Records in which each unknown name stood."""


class FastReader:
    """Reads user records into structs.

    msgspec decodes record after record in C. What it refuses is read by `read_exactly`, which decides. Unknown names
    that are frequent get a place in the struct, so that a fleet that always sends one stays on the fast path and the
    count stays exact. Fields of the contract that a fleet does not send have no place, until a record has one: then
    it is there for good. What was learned changes the speed only, never a result.
    """

    def __init__(self) -> None:
        self._learned: tuple[str, ...] = ()
        self._absent: frozenset[str] = frozenset()
        self._undecided: set[str] = set(OPTIONAL)
        self._seen = 0
        self._make_struct()

    def read(self, datas: Sequence[bytes]) -> Read:
        """Every record of `datas` ends in rows or in refused, in order. All rows are of one class."""
        try:
            read = self._read(datas)
        except _TurnedUp as found:
            self._absent -= found.names
            self._make_struct()
            return self.read(datas)
        if self._undecided:
            self._leave_out(read.rows)
        return read

    def _read(self, datas: Sequence[bytes]) -> Read:
        rows = self._decode_all(datas)
        if max(map(len, datas), default=0) > MAX_RECORD_BYTES:
            rows = [None if len(data) > MAX_RECORD_BYTES else row for row, data in zip(rows, datas, strict=True)]
        read = Read(rows, range(len(rows)))
        if self._learned:
            self._count_learned(read)
        if None in rows:
            self._reread(datas, read)
        return read

    def _decode_all(self, datas: Sequence[bytes]) -> list[Any]:
        """A struct a record, None where msgspec refused it."""
        rows: list[Any] = []
        decoded = map(self._decode, datas)
        while len(rows) < len(datas):
            try:
                rows.extend(decoded)
            except _IRREGULAR:
                # extend keeps what came before the error, so the culprit is the next record.
                if self._absent:
                    self._look_for_absent(datas[len(rows)])
                rows.append(None)
        return rows

    def _look_for_absent(self, data: bytes) -> None:
        """Raises _TurnedUp where a record was refused for nothing but fields that were left out."""
        with suppress(*_IRREGULAR):
            self._decode_whole(data)
            raise _TurnedUp(self._absent & _KEYS.decode(data).keys())

    def _reread(self, datas: Sequence[bytes], read: Read) -> None:
        """Read the records without a struct exactly; take out those that cannot be placed."""
        rows, wrong = read.rows, set()
        unknown: Counter[str] = Counter()
        for place in [place for place, row in enumerate(rows) if row is None]:
            try:
                exact = read_exactly(datas[place])
            except Unplaceable as why:
                read.refused.append((place, why))
                continue
            if not self._absent.isdisjoint(exact.values):
                raise _TurnedUp(self._absent & exact.values.keys())
            unknown.update(exact.unknown)
            rows[place] = self._struct(**exact.values)
            if exact.wrong:
                wrong.add(place)
        read.unknown.update(unknown)
        if read.refused:
            read.places = [place for place, row in enumerate(rows) if row is not None]
            read.rows = [rows[place] for place in read.places]
        read.wrong = [index for index, place in enumerate(read.places) if place in wrong] if wrong else []
        self._learn(unknown)

    def _count_learned(self, read: Read) -> None:
        """Count learned names; a row with a value that msgspec skipped unchecked and that needs a look loses its
        struct, so that the exact reader decides on it."""
        rows = read.rows
        for getter in self._getters:
            values = [msgspec.UNSET if row is None else getter(row) for row in rows]
            skipped = [bytes(value) for value in values if value is not msgspec.UNSET]
            # Looked at together first: almost always none of them needs a closer look.
            if skipped and _needs_a_look(b"".join(skipped)):
                for index, value in enumerate(values):
                    if value is not msgspec.UNSET and _needs_a_look(bytes(value)):
                        rows[index] = None
        regular = [row for row in rows if row is not None]
        for name, getter in zip(self._learned, self._getters, strict=True):
            found = len(regular) - list(map(getter, regular)).count(msgspec.UNSET)
            if found:
                read.unknown[name] += found

    def _learn(self, unknown: Counter[str]) -> None:
        often = {name for name, count in unknown.items() if count >= WORTH_LEARNING and LEARNABLE.fullmatch(name)}
        # A familiar name is among them where its records were read exactly for another reason.
        new = sorted(often.difference(self._learned))[: MAX_LEARNED - len(self._learned)]
        if new:
            self._learned = (*self._learned, *new)
            self._make_struct()

    def _leave_out(self, rows: Sequence[Any]) -> None:
        self._undecided = {name for name in self._undecided if values_of(rows, name).count(None) == len(rows)}
        self._seen += len(rows)
        if self._seen >= WORTH_LEAVING_OUT:
            self._absent, self._undecided = frozenset(self._undecided), set()
            self._make_struct()

    def _make_struct(self) -> None:
        self._struct = record_struct(self._learned, self._absent)
        self._decode = msgspec.json.Decoder(self._struct).decode
        self._decode_whole = msgspec.json.Decoder(record_struct(self._learned)).decode
        self._getters = [attrgetter(f"unknown_{place}") for place in range(len(self._learned))]


class _TurnedUp(Exception):
    """A record has fields that the fast struct leaves out."""

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__(*names)
        self.names = names


def _needs_a_look(skipped: bytes) -> bool:
    """Whether values that msgspec skipped may not be UTF-8 or may nest too deep."""
    if len(skipped) >= MAX_NESTING and skipped.count(b"[") + skipped.count(b"{") >= MAX_NESTING:
        return True
    if skipped.isascii():
        return False
    try:
        skipped.decode()
    except UnicodeDecodeError:
        return True
    return False
