"""How a published cell is remembered, and who the difference of two of its versions rests on. Pure functions."""

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from release.policy import SUMS, Cell, DeviceUse

WHO_BYTES = 16
AMOUNT_BYTES = 8
_TIES_FROM = WHO_BYTES + AMOUNT_BYTES * len(SUMS)
_NOTHING = bytes(AMOUNT_BYTES)

Mark = bytes
"""A device in a cell: 16 bytes that say which, 8 for each of SUMS that say how much (0 is all zero, as for a device
that is not there), and 16 for each of its contributors."""
Marks = frozenset[Mark]
Marker = Callable[[Cell], Marks]


def who(key: bytes, release: str, day: date, contributor: str) -> bytes:
    """The keyed hash that stands for a contributor in one day's release: days cannot be linked without the key."""
    return _hmac(key, f"{release}|{day.isoformat()}|{contributor}".encode())


def marker(key: bytes, release: str, day: date) -> Marker:
    """How a cell's devices are remembered, with what they add and whom: as keyed hashes, comparable and no more."""

    def mark(use: DeviceUse) -> Mark:
        device = who(key, release, day, use.device)
        amounts = [_amount(key, device, name, getattr(use, name)) for name in SUMS]
        return b"".join([device, *amounts, *sorted(who(key, release, day, name) for name in use.contributors)])

    return lambda cell: frozenset(map(mark, cell.devices.values()))


def contributors(marks: Iterable[Mark]) -> frozenset[bytes]:
    """Who the devices of these marks say something about."""
    return frozenset(mark[at : at + WHO_BYTES] for mark in marks for at in range(_TIES_FROM, len(mark), WHO_BYTES))


@dataclass(frozen=True, slots=True)
class Difference:
    """Who the difference of one sum between two versions of a cell rests on: the devices whose part changed, and their
    contributors as either version had them. Who is tied to a device that did not change adds nothing to it."""

    devices: frozenset[bytes]
    before: frozenset[bytes]
    after: frozenset[bytes]

    @property
    def size(self) -> int:
        """The smallest number of devices or contributors that it can be put down to."""
        return min(len(self.devices), len(self.before), len(self.after))


def differences(one: Marks, other: Marks) -> list[Difference]:
    """The difference of each of SUMS between two versions of a cell."""
    before, after = ({mark[:WHO_BYTES]: mark for mark in marks} for marks in (one, other))
    devices = before.keys() | after.keys()
    found = []
    for start in range(WHO_BYTES, _TIES_FROM, AMOUNT_BYTES):
        part = slice(start, start + AMOUNT_BYTES)
        moved = [name for name in devices if _part(before, name, part) != _part(after, name, part)]
        of_before = contributors(before.get(name) or after[name] for name in moved)
        of_after = contributors(after.get(name) or before[name] for name in moved)
        found.append(Difference(frozenset(moved), of_before, of_after))
    return found


def changed(one: Marks, other: Marks) -> frozenset[bytes]:
    """The devices whose part changed in any sum, and their contributors."""
    return frozenset().union(*(each.devices | each.before | each.after for each in differences(one, other)))


def _part(devices: Mapping[bytes, Mark], name: bytes, part: slice) -> bytes:
    return devices[name][part] if name in devices else _NOTHING


def _amount(key: bytes, device: bytes, name: str, value: float) -> bytes:
    """To tenths of a second and metres: the last digits of a sum depend on the order in which it was added up."""
    rounded = f"{value:.3f}" if name == "distance_km" else f"{value:.1f}"
    return _hmac(key, device + f"{name}|{rounded}".encode())[:AMOUNT_BYTES] if float(rounded) else _NOTHING


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()[:WHO_BYTES]
