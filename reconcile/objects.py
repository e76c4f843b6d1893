"""R2 and R3 in the bucket: listed objects are the ledger's, and their footers hold the rows that it counts."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pyarrow.parquet as pq
from pyarrow import fs

from contracts.ledger import LANDED, LandedObject
from contracts.settings import RegionSettings
from reconcile.ledger import LedgerState, read_leases
from reconcile.model import Findings, named
from reconcile.proof import Proof
from reconcile.stores import Listed, listing

PREFIXES = ("landing/", "rejected/")
READERS = 16


class Objects(msgspec.Struct, frozen=True):
    """What the bucket holds below PREFIXES."""

    listed: dict[str, Listed]
    gone: dict[str, LandedObject]
    """Objects that landing's retention has passed and that are not there any more."""


def check_objects(
    settings: RegionSettings,
    store: fs.FileSystem,
    dynamodb: Any,
    state: LedgerState,
    may_be_gone: Mapping[str, LandedObject],
    proof: Proof | None,
    findings: Findings,
) -> Objects:
    """Counts the stages `landed` and `rejected` from the footers, and `suppressed`, which leaves no object.

    Records that an erasure took out of their objects are suppressed ones from then on.

    may_be_gone: what landing's retention has passed; such objects, and a beginning's, count by the ledger. proof: the
    footer of an object that is as an earlier proof has seen it is not read again.
    """
    listed = {key: one for prefix in PREFIXES for key, one in listing(settings, settings.bucket, prefix).items()}
    made = {item.key: item for entry in state.all_entries() for item in entry.objects}
    gone = {key: may_be_gone[key] for key in (may_be_gone.keys() & made.keys()) - listed.keys()}
    if gone:
        findings.note("R3", f"objects that landing's retention has passed and that are gone: {len(gone)}")
    missing = sorted(made.keys() - listed.keys() - gone.keys())
    if missing:
        findings.differs(
            "R3",
            f"objects of the ledger that are not in the bucket: {len(missing)} ({named(missing)}); "
            "restore them from the bucket's versions or replay their range of the stream",
        )
    there = [made[key] for key in sorted(made.keys() & listed.keys())]
    seen = {item.key for item in there if proof and _as_seen(proof, item, listed[item.key])}
    rows = _footer_rows(settings, store, [item for item in there if item.key not in seen], findings)
    rows |= {key: made[key].rows for key in seen}
    rows |= {key: item.rows for key, item in gone.items()}
    removed = state.beginnings.values()
    landed = sum(rows[key] for key in rows if made[key].kind == LANDED)
    rejected = sum(rows[key] for key in rows if made[key].kind != LANDED)
    suppressed = sum(entry.suppressed + entry.erased for entry in state.all_entries())
    findings.count("landed", landed + sum(one.landed for one in removed))
    findings.count("rejected", rejected + sum(one.rejected for one in removed))
    findings.count("suppressed", suppressed + sum(one.suppressed for one in removed))
    _check_unlisted(settings, dynamodb, state, listed, findings)
    return Objects(listed, gone)


def _as_seen(proof: Proof, item: LandedObject, listed: Listed) -> bool:
    return proof.same_object(item.key, listed.size, listed.etag, item.rows)


def _footer_rows(
    settings: RegionSettings, store: fs.FileSystem, objects: list[LandedObject], findings: Findings
) -> dict[str, int]:
    def rows_of(item: LandedObject) -> int:
        with store.open_input_file(f"{settings.bucket}/{item.key}") as source:
            return int(pq.read_metadata(source).num_rows)

    with ThreadPoolExecutor(READERS, thread_name_prefix="footers") as pool:
        rows = dict(zip([item.key for item in objects], pool.map(rows_of, objects), strict=True))
    for item in objects:
        if rows[item.key] != item.rows:
            findings.differs(
                "R2",
                f"the footer of {item.key} says {rows[item.key]} rows but the ledger {item.rows}; "
                "the object was replaced after its commit: restore its first version",
            )
    return rows


def _check_unlisted(
    settings: RegionSettings, dynamodb: Any, state: LedgerState, listed: Mapping[str, Listed], findings: Findings
) -> None:
    """Objects that no entry lists: left by a worker that lost its lease, or of a flush under way. They do not count."""
    chains = (*state.entries.values(), *state.beyond.values(), state.leaving)
    known = {item.key for chain in chains for entry in chain for item in entry.objects}
    unlisted = sorted(key for key in listed.keys() - known if not findings.accepted.has("unlisted", key))
    if not unlisted:
        return
    leases = read_leases(dynamodb, settings.region)
    old, current, strange = [], [], []
    for key in unlisted:
        shard, fence = _maker(key)
        lease = leases.get(shard)
        if lease is None or fence is None or fence > lease.fence:
            strange.append(key)
        elif fence < lease.fence:
            old.append(key)
        else:
            current.append(key)
    if old:
        findings.note(
            "R3", f"objects of owners that lost their lease: {len(old)}; they do not count, the janitor deletes them"
        )
    if current:
        findings.note(
            "R3", f"objects of current owners that the ledger does not list yet: {len(current)}; flushes under way"
        )
    if strange:
        findings.differs(
            "R3",
            f"objects that no owner of a lease has made: {len(strange)} ({named(strange)}); "
            "find out who writes to the bucket, then delete them",
        )


def _maker(key: str) -> tuple[str, int | None]:
    """Shard and fence of SHARD-FIRSTSEQ-LASTSEQ-FENCE.parquet."""
    stem, dot, _ = key.rpartition("/")[2].rpartition(".parquet")
    parts = stem.rsplit("-", 3)
    if not dot or len(parts) != 4 or not parts[3].isdigit():  # noqa: PLR2004 - the parts of the name
        return "", None
    return parts[0], int(parts[3])
