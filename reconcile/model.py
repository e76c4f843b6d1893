"""What a reconciliation finds."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from reconcile.losses import Accepted, Loss

STAGES = (
    *("acknowledged", "stream", "forgotten", "landed", "rejected", "suppressed", "history", "duplicates"),
    *("device_day", "marts", "expired"),
)
"""The stages that every reconciliation counts, in user records, in the order in which they travel.

`acknowledged` are those that the gateway acknowledged; others put records on the stream, too. `forgotten` are records
that the stream no longer has, that history or landing still have, and whose loss was accepted. `expired` are those
that retention removed from history.
"""

WAITING = ("backlog", "unmerged", "underived", "unloaded")
"""Records between two stages: not read from the stream, not merged, in days not derived, not in marts yet."""


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of a region, and what disagrees.

    Where `ok`: acknowledged <= stream + backlog, stream + forgotten = landed + rejected + suppressed,
    landed = history + expired + duplicates + unmerged, history = device_day + underived, device_day = marts + unloaded.
    """

    region: str
    ok: bool
    stages: dict[str, int]
    """STAGES and WAITING, in user records."""
    differences: list[str]
    """One sentence each: which check, what disagrees, where, what to do."""
    notes: list[str]
    """What is not yet processed, or could not be counted from its own store, and is not a difference."""
    seconds: float
    losses: list[Loss] = []
    """Differences that may be accepted, where nobody can bring the records back."""
    whole: bool = True
    """Whether all of landing and history was read, or what the last proof had not seen."""

    def document(self) -> dict[str, Any]:
        """JSON-able, as `fleetlake reconcile --json` prints it."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document | {"losses": [loss.name for loss in self.losses]}


@dataclass(slots=True)
class Findings:
    """Collects counts, differences and notes while the checks run."""

    stages: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    accepted: Accepted = field(default_factory=Accepted)
    """Losses that were accepted before; the checks count them and do not report them again."""

    def count(self, stage: str, records: int) -> None:
        """So many records are at this stage."""
        self.stages[stage] = int(records)

    def differs(self, check: str, sentence: str) -> None:
        """Two stores disagree. The sentence says what, where and what to do."""
        self.differences.append(f"{check}: {sentence}")

    def add(self, stage: str, records: int) -> None:
        """So many more records are at this stage."""
        self.stages[stage] = self.stages.get(stage, 0) + int(records)

    def lost(self, check: str, sentence: str, *losses: Loss) -> None:
        """A difference that a person may accept, as nothing can bring the records back."""
        self.losses += losses
        names = named([loss.name for loss in losses], most=2)
        self.differs(check, f"{sentence}; if nothing brings them back, accept the loss: --accept-loss {names}")

    def note(self, check: str, sentence: str) -> None:
        """Worth knowing, no difference."""
        self.notes.append(f"{check}: {sentence}")


def named(items: list[str], most: int = 5) -> str:
    """The first few, and how many more there are."""
    shown = ", ".join(items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"


def counted(number: int, thing: str) -> str:
    """The number and the thing, in the plural where it is due."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
