"""Who asks, and what that token may see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

ALL_FLEETS = "*"
"""In a token's fleets: every fleet of the region, and devices that are in no registry."""


class Role(StrEnum):
    """What a token is for."""

    viewer = "viewer"
    """Live state, past, trips and figures of the token's fleets."""
    operator = "operator"
    """The same, and how the service does."""
    privacy = "privacy"
    """Who read which device's past; no device's data."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A token that was believed."""

    subject: str
    token_id: str
    role: Role
    regions: frozenset[str]
    fleets: tuple[str, ...]
    """Fleets of this region, sorted; none sees nothing."""
    ends_s: float
    """When the token ends, epoch seconds."""

    @property
    def sees_all(self) -> bool:
        """Whether every fleet of the region is this token's."""
        return ALL_FLEETS in self.fleets

    def may_see(self, fleet: str | None) -> bool:
        """Whether devices of that fleet (None: of no registry) are this token's."""
        return self.sees_all or (fleet is not None and fleet in self.fleets)


def fleets_in(claim: Sequence[str] | Mapping[str, Sequence[str]], region: str) -> tuple[str, ...]:
    """The fleets that a claim names for a region: a list is for every region, an object has one for each."""
    named = claim.get(region, ()) if isinstance(claim, Mapping) else claim
    return tuple(sorted(set(named)))
