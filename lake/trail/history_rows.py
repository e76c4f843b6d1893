"""History's rows, for a rebuild of live state: records whose landing objects have expired."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from pyiceberg.expressions import GreaterThanOrEqual, Reference
from pyiceberg.io.pyarrow import ArrowScan

from contracts.ledger import LandedObject
from contracts.settings import RegionSettings
from lake.database import transaction
from lake.iceberg.tables import history
from lake.trail.parquet_rows import in_landing_schema

_MERGED = "select key from ops.landing_object where on_time_merged is not null and stragglers_merged is not null"


class HistoryRows:
    """One snapshot of history.telemetry, and which landing objects are wholly in it.

    settings: of the region. now: by which devices unseen for `live_unseen_days` are left out; live state would forget
    them at once. Raises StoreUnavailable where Postgres is away.
    """

    def __init__(self, settings: RegionSettings, now: datetime | None = None) -> None:
        self.rows = 0
        """Rows given so far."""
        # Asked before the snapshot is chosen: what is merged by then is in it.
        with transaction(settings) as connection:
            self._merged = {key for (key,) in connection.execute(_MERGED)}
        self._table = history(settings)
        self._since = (now or datetime.now(UTC)) - timedelta(days=settings.live_unseen_days)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows that arrived since, in LANDING_SCHEMA, one data file in memory at a time."""
        scan = self._table.scan(
            row_filter=GreaterThanOrEqual(term=Reference("arrival_ts"), value=self._since.isoformat())
        )
        reader = ArrowScan(self._table.metadata, self._table.io, scan.projection(), scan.row_filter)
        for task in scan.plan_files():
            for batch in reader.to_record_batches([task]):
                self.rows += batch.num_rows
                yield from in_landing_schema(pa.Table.from_batches([batch])).combine_chunks().to_batches()

    def holds(self, landed: LandedObject) -> bool:
        """Whether a landing object was merged before the snapshot was chosen."""
        return landed.key in self._merged
