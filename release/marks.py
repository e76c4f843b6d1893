"""How a published cell is remembered, and what the difference of two of its versions rests on. Pure functions."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from release.policy import SUMS, Cell, DeviceUse, Policy, tied_to_both

FORM = 2
"""Of marks. Those of another form cannot be compared with: what they remember stands as it was published."""
WHO_BYTES = 16
AMOUNT_BYTES = 8
_HOLDER_FROM = WHO_BYTES + AMOUNT_BYTES * len(SUMS)
_TIES_FROM = _HOLDER_FROM + 2 * WHO_BYTES
_NOTHING = bytes(AMOUNT_BYTES)
_NOBODY = bytes(WHO_BYTES)
_HALF = AMOUNT_BYTES // 2
_ROUNDS = 4
_SCALES = {"records": 1, "engine_s": 10, "moving_s": 10, "distance_km": 1000}
"""To tenths of a second and metres: the last digits of a sum depend on the order in which it was added up."""

Mark = bytes
"""A device in a cell: 16 bytes that say which, 8 for each of SUMS that say how much (0 is all zero, as for a device
that is not there), 16 each for its fleet and for its customer, and 16 for each of its contributors."""
Marks = frozenset[Mark]


def who(key: bytes, release: str, day: date, contributor: str) -> bytes:
    """The keyed hash that stands for a contributor in one day's release: days cannot be linked without the key."""
    return _hmac(key, f"{release}|{day.isoformat()}|{contributor}".encode())


def marker(key: bytes, release: str, day: date) -> "Marker":
    """How the cells of one day's release are remembered."""
    return Marker(key, release, day)


@dataclass(frozen=True)
class Marker:
    """Remembers a cell's devices, with what they add and for whom: comparable without the key, readable with it.

    An amount is encrypted, not hashed: a difference of two versions is judged by what it is made of.
    """

    key: bytes = field(repr=False)
    release: str
    day: date

    def __call__(self, cell: Cell) -> Marks:
        """The marks of the cell's devices."""
        return frozenset(map(self._mark, cell.devices.values()))

    def changes(self, one: Marks, other: Marks) -> list[list[DeviceUse]]:
        """By how much each device's part changed, without the sign: tied as in the one, the other and both."""
        before, after = _by_device(one), _by_device(other)
        moved = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
        pairs = [(before.get(name), after.get(name)) for name in moved]
        then, now = (
            [self._change(mark, beside) for mark, beside in pairs],
            [self._change(beside, mark) for mark, beside in pairs],
        )
        return [then, now, [tied_to_both(use, other) for use, other in zip(then, now, strict=True)]]

    def _mark(self, use: DeviceUse) -> Mark:
        device = self._who(use.device)
        amounts = [self._sealed(device, name, getattr(use, name)) for name in SUMS]
        # First and last, so that a device held by one alone is held by it twice.
        holders = [self._who(f"h:{use.holders[place]}") if use.holders else _NOBODY for place in (0, -1)]
        return b"".join([device, *amounts, *holders, *sorted(map(self._who, use.contributors))])

    def _who(self, name: str) -> bytes:
        return who(self.key, self.release, self.day, name)

    def _change(self, mark: Mark | None, beside: Mark | None) -> DeviceUse:
        tied = mark or beside or b""
        parts = [self._amounts(one) for one in (mark, beside)]
        amounts = {name: abs(parts[0][name] - parts[1][name]) / _SCALES[name] for name in SUMS}
        held = tied[_HOLDER_FROM:_TIES_FROM]
        holders = () if held == 2 * _NOBODY else tuple(part.hex() for part in _split(held))
        contributors = tuple(part.hex() for part in _split(tied[_TIES_FROM:]))
        return DeviceUse(tied[:WHO_BYTES].hex(), "", contributors, holders=holders, **amounts)  # type: ignore[arg-type]

    def _amounts(self, mark: Mark | None) -> dict[str, int]:
        if mark is None:
            return dict.fromkeys(SUMS, 0)
        device = mark[:WHO_BYTES]
        return {name: self._opened(device, name, mark[part]) for name, part in _PARTS.items()}

    def _sealed(self, device: bytes, name: str, value: float) -> bytes:
        """The amount under a permutation of key, device and sum: four Feistel rounds (Luby and Rackoff, 1988)."""
        whole = round(value * _SCALES[name])
        if whole == 0:
            return _NOTHING
        left, right = _halves(whole.to_bytes(AMOUNT_BYTES, "big"))
        for turn in range(_ROUNDS):
            left, right = right, left ^ self._round(turn, device, name, right)
        return _joined(left, right)

    def _opened(self, device: bytes, name: str, sealed: bytes) -> int:
        if sealed == _NOTHING:
            return 0
        left, right = _halves(sealed)
        for turn in reversed(range(_ROUNDS)):
            left, right = right ^ self._round(turn, device, name, left), left
        return int.from_bytes(_joined(left, right), "big")

    def _round(self, turn: int, device: bytes, name: str, half: int) -> int:
        message = b"".join([bytes([turn]), device, name.encode(), half.to_bytes(_HALF, "big")])
        return int.from_bytes(_hmac(self._amount_key, message)[:_HALF], "big")

    @cached_property
    def _amount_key(self) -> bytes:
        return hmac.digest(self.key, b"amounts of marks", hashlib.sha256)


_PARTS = {
    name: slice(WHO_BYTES + place * AMOUNT_BYTES, WHO_BYTES + (place + 1) * AMOUNT_BYTES)
    for place, name in enumerate(SUMS)
}


def contributors(marks: Iterable[Mark]) -> frozenset[bytes]:
    """Who the devices of these marks say something about."""
    return frozenset(part for mark in marks for part in _split(mark[_TIES_FROM:]))


@dataclass(frozen=True, slots=True)
class Difference:
    """Who the difference of one sum between two versions of a cell rests on: the devices whose part changed, and their
    contributors as either version had them. Who is tied to a device that did not change adds nothing to it."""

    devices: frozenset[bytes]
    before: frozenset[bytes]
    after: frozenset[bytes]


def differences(one: Marks, other: Marks) -> list[Difference]:
    """The difference of each of SUMS between two versions of a cell."""
    before, after = _by_device(one), _by_device(other)
    devices = before.keys() | after.keys()
    found = []
    for part in _PARTS.values():
        moved = [name for name in devices if _part(before, name, part) != _part(after, name, part)]
        of_before = contributors(before.get(name) or after[name] for name in moved)
        of_after = contributors(after.get(name) or before[name] for name in moved)
        found.append(Difference(frozenset(moved), of_before, of_after))
    return found


def changed(one: Marks, other: Marks) -> frozenset[bytes]:
    """The devices whose part changed in any sum, and their contributors."""
    return frozenset().union(*(each.devices | each.before | each.after for each in differences(one, other)))


def may_follow(marks: Marker, earlier: Marks, now: Marks, policy: Policy) -> bool:
    """Whether a cell may be public in both versions: what changed is nobody's, or hides each whose it is."""
    return all(policy.may_differ(changes) for changes in marks.changes(earlier, now))


def _by_device(marks: Marks) -> dict[bytes, Mark]:
    return {mark[:WHO_BYTES]: mark for mark in marks}


def _part(devices: Mapping[bytes, Mark], name: bytes, part: slice) -> bytes:
    return devices[name][part] if name in devices else _NOTHING


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + WHO_BYTES] for at in range(0, len(hashes), WHO_BYTES)]


def _halves(block: bytes) -> tuple[int, int]:
    return int.from_bytes(block[:_HALF], "big"), int.from_bytes(block[_HALF:], "big")


def _joined(left: int, right: int) -> bytes:
    return left.to_bytes(_HALF, "big") + right.to_bytes(_HALF, "big")


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)[:WHO_BYTES]
