"""A device's rows of the Iceberg history: the files that day, bucket and statistics allow, deletes honoured."""

from concurrent.futures import Executor, Future

import pyarrow as pa
from pyarrow import fs
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import And, EqualTo, GreaterThanOrEqual, LessThan, Reference
from pyiceberg.io.pyarrow import _read_all_delete_files

from contracts.names import HISTORY_TABLE
from lake.trail.counted_files import Account, CountedIO
from lake.trail.parquet_rows import Wanted, device_rows


def history_rows(
    catalog: Catalog, store: fs.FileSystem, wanted: Wanted, account: Account, pool: Executor
) -> list[Future[pa.Table]]:
    """Reads under way in `pool`, one a data file. A history that was never written to is empty.

    Planning reads the manifest list and those manifests whose partitions overlap; buckets and days that cannot hold
    the device's rows are not opened. Columns are found by name: history's columns are never renamed.
    """
    try:
        table = catalog.load_table(HISTORY_TABLE)
    except NoSuchTableError:
        return []
    table.io = CountedIO(store, account, table.io.properties)
    scan = table.scan(
        row_filter=And(
            EqualTo(term=Reference("device_id"), value=wanted.device_id),
            GreaterThanOrEqual(term=Reference("ts"), value=wanted.start.isoformat()),
            LessThan(term=Reference("ts"), value=wanted.end.isoformat()),
        )
    )
    tasks = list(scan.plan_files())
    deleted = _read_all_delete_files(table.io, tasks)
    for _ in {delete.file_path for task in tasks for delete in task.delete_files}:
        account.opened()
    return [
        pool.submit(device_rows, store, task.file.file_path, wanted, account, deleted.get(task.file.file_path, ()))
        for task in tasks
    ]
