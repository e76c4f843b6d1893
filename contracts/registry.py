"""What a region's registry holds: fleets, and devices with the data subjects that they are tied to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Fleet:
    """A customer's group of devices."""

    fleet_id: str
    name: str
    customer: str | None = None
    """The company whose fleet it is, by one name in all regions; without it the fleet is a holder of its own."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device and the data subjects that it is tied to. type is one of contracts.derived.DEVICE_TYPES."""

    device_id: str
    fleet_id: str
    type: str
    make: str | None = None
    model: str | None = None
    fuel: str | None = None
    subjects: tuple[str, ...] = ()


class Register(Protocol):
    """Enters fleets and devices in a region's registry.

    Promises
    - What is entered once more changes nothing; what differs is updated.
    - All of one call is entered, or none of it and an error is raised.
    """

    def __call__(self, fleets: Iterable[Fleet], devices: Sequence[Device]) -> None: ...
