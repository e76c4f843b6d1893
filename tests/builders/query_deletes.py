"""A positional delete file in an Iceberg table, as Spark's merge-on-read writes one; pyiceberg itself writes none."""

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestWriter,
    ManifestWriterV2,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import Table


class _DeletesWriter(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


def delete_positions(table: Table, file: DataFile, positions: Sequence[int]) -> None:
    """Commit a delete file that removes these rows of `file`."""
    rows = pa.table({"file_path": [file.file_path] * len(positions), "pos": pa.array(positions, pa.int64())})
    body = io.BytesIO()
    pq.write_table(rows, body)
    path = f"{table.location()}/data/deletes-{table.metadata.last_sequence_number}.parquet"
    with table.io.new_output(path).create() as out:
        out.write(body.getvalue())
    with table.transaction() as transaction:
        append = transaction.update_snapshot().fast_append()

        def writer(spec: PartitionSpec) -> ManifestWriter:
            return _DeletesWriter(spec, table.schema(), append.new_manifest_output(), append.snapshot_id, "gzip")

        append.new_manifest_writer = writer  # type: ignore[method-assign]
        with append:
            append.append_data_file(
                DataFile.from_args(
                    content=DataFileContent.POSITION_DELETES,
                    file_path=path,
                    file_format=FileFormat.PARQUET,
                    partition=file.partition,
                    record_count=len(positions),
                    file_size_in_bytes=len(body.getvalue()),
                    spec_id=file.spec_id,
                )
            )
