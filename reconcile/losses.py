"""Losses that a person has accepted: what a reconciliation found missing for good, with who accepted it and why."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
import psycopg

from contracts.errors import Misuse
from contracts.settings import RegionSettings

Kind = Literal["forgotten", "trimmed", "unlisted", "acknowledged"]
CHECKS: dict[Kind, str] = {"forgotten": "R0", "acknowledged": "R0", "trimmed": "R1", "unlisted": "R4"}
"""The check that finds each kind."""
ALL = "all"
"""Instead of names: every loss that was found."""
_COLUMNS = "kind, place, records, who, why, accepted_at"


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """Records that one store no longer has and another still counts.

    forgotten: the stream holds fewer than the ledger entry that ends at `place`. trimmed: the stream dropped them
    before they were read. unlisted: the ledger has lost the entry of the landing object `place`, which was merged.
    acknowledged: the gateway acknowledged more than the stream holds.
    """

    kind: Kind
    place: str
    """SHARD/LAST_SEQ of a ledger entry, or the key of a landing object."""
    records: int | None = None
    """None where nobody counted them."""

    @property
    def name(self) -> str:
        """What `--accept-loss` takes."""
        return f"{self.kind}:{self.place}"


class AcceptedLoss(Loss, frozen=True, kw_only=True):
    """A row of ops.accepted_loss."""

    who: str
    why: str
    accepted_at: datetime

    def sentence(self) -> str:
        """For the notes of every later reconciliation."""
        count = "records that nobody counted" if self.records is None else f"{self.records:,} user records"
        return (
            f"{count} are lost and accepted ({self.name}), by {self.who} on {self.accepted_at:%Y-%m-%d %H:%M} UTC: "
            f"{self.why}"
        )


class Accepted:
    """The accepted losses, by what they concern."""

    def __init__(self, losses: Sequence[AcceptedLoss] = ()) -> None:
        self.losses = list(losses)
        self._records: dict[str, int] = defaultdict(int)
        for loss in self.losses:
            self._records[loss.name] += loss.records or 0

    def has(self, kind: Kind, place: str) -> bool:
        """Whether such a loss of that place was accepted."""
        return f"{kind}:{place}" in self._records

    def records(self, kind: Kind, place: str | None = None) -> int:
        """Records accepted as lost in this way: of one place, or of all."""
        if place is not None:
            return self._records.get(f"{kind}:{place}", 0)
        return sum(loss.records or 0 for loss in self.losses if loss.kind == kind)


def read_accepted(postgres: "psycopg.Connection[Any]") -> list[AcceptedLoss]:
    """All accepted losses, oldest first; none in a database whose schema is of an earlier version."""
    found = postgres.execute("select to_regclass('ops.accepted_loss')").fetchone()
    if found is None or found[0] is None:
        return []
    rows = postgres.execute(f"select {_COLUMNS} from ops.accepted_loss order by id").fetchall()  # noqa: S608
    return [AcceptedLoss(**dict(zip(_COLUMNS.split(", "), row, strict=True))) for row in rows]


def accept(settings: RegionSettings, found: Sequence[Loss], names: Collection[str], who: str, why: str) -> list[Loss]:
    """Record that these losses are accepted. Only what a reconciliation has just found can be.

    Raises Misuse for a name that is not among `found`, and where nothing says who and why.
    """
    if not who.strip() or not why.strip():
        raise Misuse("say who accepts the loss, and why: --who NAME --why REASON")
    known = {loss.name: loss for loss in found}
    strange = sorted(set(names) - known.keys() - {ALL})
    if strange or not known:
        there = f"it found {', '.join(known)}" if known else "it found none that can be accepted"
        raise Misuse(f"this reconciliation did not find the loss {', '.join(strange or names)}; {there}")
    chosen = list(known.values()) if ALL in names else [known[name] for name in dict.fromkeys(names)]
    _record(settings, chosen, who.strip(), why.strip())
    return chosen


def _record(settings: RegionSettings, losses: Sequence[Loss], who: str, why: str) -> None:
    insert = "insert into ops.accepted_loss (kind, place, records, who, why) values (%s, %s, %s, %s, %s)"
    # What an unlisted object held and history lacks cannot be merged any more: the ledger does not vouch for it.
    close = """update ops.landing_object set on_time_merged = coalesce(on_time_merged, now()),
        stragglers_merged = coalesce(stragglers_merged, now()) where key = any(%s)"""
    with psycopg.connect(settings.postgres_dsn.get_secret_value()) as postgres:
        for loss in losses:
            postgres.execute(insert, [loss.kind, loss.place, loss.records, who, why])
        postgres.execute(close, [[loss.place for loss in losses if loss.kind == "unlisted"]])
