"""The lease table (who reads which shard) and the ledger (which flushes count), committed in one transaction."""

from ingest.leases.expiry import Observer
from ingest.leases.protocol import LeaseTable, Ledger

__all__ = ["LeaseTable", "Ledger", "Observer"]
