"""Who reads which shard, and which flushes count: the lease table and the ledger, committed in one transaction."""

from ingest.leases.expiry import Observer
from ingest.leases.protocol import LeaseTable, Ledger

__all__ = ["LeaseTable", "Ledger", "Observer"]
