"""The items of the ledger and of the leases, as DynamoDB holds them.

The ledger of a region says which objects exist: the consumer writes it, compaction, spot queries and reconciliation
read it. Each entry is one flush of one shard, from just after `after_seq` to `last_seq`.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from contracts.names import padded_sequence

TRIM_HORIZON = ""
"""Position of a shard of which nothing was committed yet."""

LANDED, REJECTED = "landed", "rejected"

MOST_ENTRY_BYTES = 390_000
"""An item of DynamoDB has at most 400 KiB, names and keys included."""

ON_TIME_BEFORE_S = 600
ON_TIME_AFTER_S = 300
"""A record is on time for arrival hour H where its ts is in [H - 10 min, H + 1 h + 5 min); else it is a straggler."""


class LandedObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object of a flush. Times are epoch milliseconds."""

    key: str
    kind: str
    """LANDED or REJECTED."""
    hour_ms: int
    """Start of the arrival hour that it is filed under."""
    rows: int
    bytes: int
    sha256: str
    min_ts_ms: int | None = None
    max_ts_ms: int | None = None
    stragglers: int = 0
    """Rows whose event time is outside the hour's on-time range."""


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One committed flush of one shard. kinesis_records may hold many user_records each."""

    shard_id: str
    after_seq: str
    last_seq: str
    fence: int
    worker: str
    committed_ms: int
    kinesis_records: int
    user_records: int
    landed: int
    rejected: dict[str, int]
    suppressed: int
    watermark_ms: int
    objects: list[LandedObject]
    decoder_version: int = 1
    suppression_version: int = 0
    lost: bool = False
    """The stream had trimmed records before they were read: reconcile fails until someone has looked."""
    erased: int = 0
    trace_id: str = ""
    handled: int = 0
    """User records that a handler took instead of landing them."""

    @property
    def rejected_total(self) -> int:
        """Rejected user records of all reasons."""
        return sum(self.rejected.values())


class LeaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """One shard's lease. Ended shards keep their row until the stream's retention has passed."""

    shard_id: str
    owner: str | None = None
    fence: int = 0
    """Lease counter, one higher at each take."""
    heartbeat: int = 0
    """Changes at each renewal; an observer's own monotonic clock measures how long it stood still."""
    position: str = TRIM_HORIZON
    """last_seq of the newest ledger entry."""
    start_ms: int = 0
    """Where reading starts while nothing was committed: 0 is the oldest record, else the first that arrived then."""
    watermark_ms: int = 0
    ended: bool = False
    parents: list[str] = []
    suppression_version: int = 0
    records_per_s: float = 0.0
    bytes_per_s: float = 0.0
    wanted_by: str | None = None
    """A worker that asks for a graceful hand-over."""
    lost: bool = False
    """The stream had trimmed records before they were read, and no entry says so yet: the next one will."""
    live_seq: str = ""
    """Every record up to here has reached live state. A new owner offers what landed after it once more."""
    earlier_seq: str = ""
    """Entries up to here are of an earlier stream of the same name, whose records are gone with it."""

    @property
    def read_position(self) -> str:
        """The position as the stream knows it: TRIM_HORIZON where everything committed is of an earlier stream."""
        return TRIM_HORIZON if self.position == self.earlier_seq else self.position


def fits_the_ledger(entry: LedgerEntry) -> bool:
    """Whether DynamoDB takes the entry."""
    return len(msgspec.json.encode(entry)) <= MOST_ENTRY_BYTES


def ledger_item(entry: LedgerEntry) -> dict[str, Any]:
    """The entry as a DynamoDB item (low-level attribute values): keys shard_id and last_seq (56 digits)."""
    return {
        "shard_id": {"S": entry.shard_id},
        "last_seq": {"S": padded_sequence(entry.last_seq)},
        "entry": {"S": msgspec.json.encode(entry).decode()},
    }


def ledger_entry(item: dict[str, Any]) -> LedgerEntry:
    """The entry of a DynamoDB item."""
    return msgspec.json.decode(item["entry"]["S"], type=LedgerEntry)


_LEASE_TYPES: dict[str, str] = {
    "shard_id": "S",
    "owner": "S",
    "fence": "N",
    "heartbeat": "N",
    "position": "S",
    "start_ms": "N",
    "watermark_ms": "N",
    "ended": "BOOL",
    "parents": "L",
    "suppression_version": "N",
    "records_per_s": "N",
    "bytes_per_s": "N",
    "wanted_by": "S",
    "live_seq": "S",
    "lost": "BOOL",
    "earlier_seq": "S",
}
STREAM_ROW = "stream"
"""Key of the one row of the leases table that is no lease: it says which stream the leases are of."""


def lease_item(row: LeaseRow) -> dict[str, Any]:
    """The lease as a DynamoDB item with one attribute a field, so that conditions can name them. None is left out."""
    item: dict[str, Any] = {}
    for name, kind in _LEASE_TYPES.items():
        value = getattr(row, name)
        if value is None:
            continue
        if kind == "N":
            item[name] = {"N": repr(value)}
        elif kind == "L":
            item[name] = {"L": [{"S": part} for part in value]}
        else:
            item[name] = {kind: value}
    return item


def lease_row(item: dict[str, Any]) -> LeaseRow:
    """The lease of a DynamoDB item."""
    fields: dict[str, Any] = {}
    for name, kind in _LEASE_TYPES.items():
        if name not in item:
            continue
        value = item[name][kind]
        if kind == "N":
            value = float(value) if name.endswith("_per_s") else int(value)
        elif kind == "L":
            value = [part["S"] for part in value]
        fields[name] = value
    return LeaseRow(**fields)


def lease_rows(items: Iterable[dict[str, Any]]) -> list[LeaseRow]:
    """The leases among the items of the leases table."""
    return [lease_row(item) for item in items if item["shard_id"]["S"] != STREAM_ROW]


def stream_item(created_ms: int) -> dict[str, Any]:
    """The row that says that the leases are of the stream made at this epoch time (ms)."""
    return {"shard_id": {"S": STREAM_ROW}, "created_ms": {"N": str(created_ms)}}


def stream_changes(item: dict[str, Any]) -> int:
    """How often leases were released, ended or added, as that row counts it: workers need not read all rows to see."""
    return int(item.get("changes", {"N": "0"})["N"])


def stream_created_ms(item: dict[str, Any]) -> int:
    """When the stream was made that the leases are of."""
    return int(item["created_ms"]["N"])


def region_watermark_ms(rows: list[LeaseRow]) -> int:
    """The region's watermark: the smallest over the shards that have not ended; over all where all have.

    The rows of a scan are not all of one moment. Where a shard is seen as ended and a child is not seen, or as it was
    before that end, the shard's own watermark counts: it is what the child starts with. A split gives two children.
    """
    seen = {row.shard_id: row.watermark_ms for row in rows}
    children = Counter(parent for row in rows for parent in row.parents)
    merged = {parent for row in rows if len(row.parents) > 1 for parent in row.parents}
    followed = merged | {parent for parent, count in children.items() if count > 1}
    live = [row.watermark_ms for row in rows if not row.ended or row.shard_id not in followed]
    untaken = [row for row in rows if row.fence == 0 and not row.ended]
    live += [seen[parent] for row in untaken for parent in row.parents if parent in seen]
    return min(live or seen.values(), default=0)


def hour_of(ms: int) -> datetime:
    """The UTC hour of an epoch time in milliseconds."""
    return datetime.fromtimestamp(ms // 3_600_000 * 3600, UTC)
