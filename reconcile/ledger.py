"""R1 and R2: the ledger's chain is unbroken, and each entry's counts add up."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from contracts.ledger import LANDED, LeaseRow, LedgerEntry, lease_rows, ledger_entry
from contracts.names import leases_table, ledger_table, reason_of_key
from reconcile.beginning import Beginning
from reconcile.losses import Loss
from reconcile.model import Findings


class LedgerState(msgspec.Struct, frozen=True, kw_only=True):
    """The leases, and each shard's entries up to its lease's position, in the order of their positions.

    A shard that has no lease has ended, and the stream has forgotten it: all of its entries count. Entries up to a
    shard's beginning count by its sums, whether they are still there or not.
    """

    leases: dict[str, LeaseRow]
    entries: dict[str, list[LedgerEntry]]
    beyond: dict[str, list[LedgerEntry]]
    """Entries after the position that the lease had when it was read."""
    now: dict[str, LeaseRow]
    """The leases as they were after the ledger was read: an entry up to there was committed meanwhile."""
    beginnings: dict[str, Beginning] = {}
    leaving: list[LedgerEntry] = []
    """Entries up to a beginning that maintenance has not removed yet."""

    def begins(self, shard: str) -> int:
        """Where the shard's entries begin."""
        return number(self.beginnings[shard].last_seq) if shard in self.beginnings else 0

    def all_entries(self) -> list[LedgerEntry]:
        """Every entry up to the leases' positions."""
        return [entry for chain in self.entries.values() for entry in chain]


def read_ledger(dynamodb: Any, region: str, beginnings: Mapping[str, Beginning] | None = None) -> LedgerState:
    """The leases before and after the ledger: an entry up to a lease's position is there when it is asked for."""
    begun = dict(beginnings or {})
    leases = read_leases(dynamodb, region)
    chains: dict[str, list[LedgerEntry]] = {shard: [] for shard in (*leases, *begun)}
    leaving: list[LedgerEntry] = []
    pages = dynamodb.get_paginator("scan").paginate(TableName=ledger_table(region), ConsistentRead=True)
    for page in pages:
        for item in page["Items"]:
            entry = ledger_entry(item)
            if entry.shard_id in begun and number(entry.last_seq) <= number(begun[entry.shard_id].last_seq):
                leaving.append(entry)
            else:
                chains.setdefault(entry.shard_id, []).append(entry)
    now = read_leases(dynamodb, region)
    entries: dict[str, list[LedgerEntry]] = {}
    beyond: dict[str, list[LedgerEntry]] = {}
    for shard, chain in chains.items():
        chain.sort(key=lambda entry: number(entry.last_seq))
        reached = _reached(shard, chain, leases, now)
        entries[shard] = [entry for entry in chain if number(entry.last_seq) <= reached]
        beyond[shard] = [entry for entry in chain if number(entry.last_seq) > reached]
    return LedgerState(leases=leases, entries=entries, beyond=beyond, now=now, beginnings=begun, leaving=leaving)


def _reached(shard: str, chain: list[LedgerEntry], leases: dict[str, LeaseRow], now: dict[str, LeaseRow]) -> int:
    """The position up to which a shard's entries count; -1 for one that got its lease meanwhile."""
    if shard in leases:
        return number(leases[shard].position)
    return -1 if shard in now or not chain else number(chain[-1].last_seq)


def read_leases(dynamodb: Any, region: str) -> dict[str, LeaseRow]:
    """The leases by shard, as they are now."""
    pages = dynamodb.get_paginator("scan").paginate(TableName=leases_table(region), ConsistentRead=True)
    return {row.shard_id: row for row in lease_rows(item for page in pages for item in page["Items"])}


def number(sequence: str) -> int:
    """A sequence number as the integer that it compares as; a shard's beginning is 0."""
    return int(sequence) if sequence else 0


def check_chain(state: LedgerState, findings: Findings) -> None:
    """R1: each entry starts where the one before ended, and the last one ends at the lease's position."""
    for shard, chain in state.entries.items():
        reached = state.begins(shard)
        for entry in chain:
            if number(entry.after_seq) != reached:
                findings.differs("R1", _gap(shard, reached, entry))
            if entry.lost:
                _report_trimmed(shard, entry, findings)
            reached = number(entry.last_seq)
        lease = state.leases.get(shard)
        if lease is not None and number(lease.position) != reached:
            findings.differs(
                "R1",
                f"the lease of {shard} is at {lease.position} but the ledger's last entry ends at {reached}: "
                "an entry is missing from the ledger table; restore it from backup or replay the range",
            )
        _check_beyond(shard, state.beyond[shard], state.now, findings)


def check_sums(state: LedgerState, findings: Findings) -> None:
    """R2, within the ledger: user records = landed + rejected + suppressed, and the objects' rows make those up."""
    for entry in state.all_entries():
        place = f"the ledger entry of {entry.shard_id} that ends at {entry.last_seq}"
        ended = entry.landed + entry.rejected_total + entry.suppressed
        if entry.user_records != ended:
            findings.differs(
                "R2",
                f"{place} has {entry.user_records} user records but landed, rejected and suppressed make {ended}; "
                "compare it with the stream's range and mend the consumer",
            )
        _check_objects_of(entry, place, findings)


def _check_objects_of(entry: LedgerEntry, place: str, findings: Findings) -> None:
    """What landed, and what was rejected for each reason, is in objects of that kind, less what was erased."""
    counts = Counter({LANDED: entry.landed, **entry.rejected})
    rows: Counter[str] = Counter()
    for made in entry.objects:
        rows[LANDED if made.kind == LANDED else reason_of_key(made.key)] += made.rows
    kinds = sorted(counts.keys() | rows.keys())
    missing = [counts[kind] - rows[kind] for kind in kinds]
    if min(missing, default=0) < 0 or sum(missing) != entry.erased:
        wrong = ", ".join(f"{kind} {counts[kind]} but {rows[kind]}" for kind in kinds if counts[kind] != rows[kind])
        findings.differs(
            "R2",
            f"{place} does not count what its objects hold in rows ({wrong}; {entry.erased} erased); "
            "look at its objects in the bucket",
        )


def _check_beyond(shard: str, beyond: list[LedgerEntry], now: dict[str, LeaseRow], findings: Findings) -> None:
    position = number(now[shard].position) if shard in now else -1
    stray = [entry for entry in beyond if number(entry.last_seq) > position]
    if stray:
        findings.differs(
            "R1",
            f"ledger entries of {shard} that lie after its lease's position: {len(stray)}, the first ends at "
            f"{stray[0].last_seq}: entry and position are committed together, so one of them was changed by hand",
        )


def _gap(shard: str, reached: int, entry: LedgerEntry) -> str:
    after = entry.after_seq or "the shard's beginning"
    before = str(reached) if reached else "the shard's beginning"
    return (
        f"the chain of {shard} is broken: an entry starts after {after} but the one before it ended at {before}; "
        "the entry between is missing from the ledger table, restore it or replay that range"
    )


def place_of(entry: LedgerEntry) -> str:
    """How an accepted loss names a ledger entry."""
    return f"{entry.shard_id}/{entry.last_seq}"


def _report_trimmed(shard: str, entry: LedgerEntry, findings: Findings) -> None:
    if findings.accepted.has("trimmed", place_of(entry)):
        return
    findings.lost(
        "R1",
        f"the stream had trimmed records of {shard} up to {entry.last_seq} before they were read: they are lost; "
        "ask the devices' gateway for that range, then clear the entry's `lost` mark",
        Loss(kind="trimmed", place=place_of(entry)),
    )
