"""Files of columns, Parquet and CSV, as batches of rows: in file order with bounded memory, or sorted by event time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from contracts.errors import BadInputFile
from devices.replay.mapping import EventTime
from devices.replay.times import UNKNOWN, event_times

BATCH_ROWS = 20_000
LAST = np.iinfo(np.int64).max
CSV_BLOCK_BYTES = 8 * 1024 * 1024


class Table(Protocol):
    """A file of columns.

    Promises
    - `kinds` has the file's columns in their order; of a text file, what its first block looks like.
    - `batches` gives every row once, in the file's order, in batches of at most BATCH_ROWS.
    - Both raise BadInputFile, with the file's name and what is wrong, where the file cannot be read as its kind.
    """

    kinds: dict[str, pa.DataType]
    rows: int | None

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]: ...


class ParquetTable:
    """A Parquet file, a row group at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = pq.ParquetFile(path, memory_map=True)
        except (pa.ArrowInvalid, OSError) as error:
            raise BadInputFile(f"{path} is no readable Parquet file: {error}") from None
        self.kinds = {field.name: _plain_kind(field.type) for field in self._file.schema_arrow}
        self.rows: int | None = self._file.metadata.num_rows

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See Table."""
        try:
            for batch in self._file.iter_batches(BATCH_ROWS, columns=list(columns)):
                yield _decoded(batch)
        except (pa.ArrowInvalid, OSError) as error:
            raise BadInputFile(f"{self._path} is damaged: {error}") from None


class CsvTable:
    """A CSV file with a header line, plain or gzip; every value stays text until it is known where it goes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: int | None = None
        try:
            with self._open(None) as reader:
                self.kinds = {field.name: field.type for field in reader.schema}
        except (pa.ArrowInvalid, OSError, EOFError) as error:
            raise BadInputFile(f"{path} is no readable CSV file: {error}") from None

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See Table."""
        try:
            with self._open(columns) as reader:
                for batch in reader:
                    for start in range(0, batch.num_rows, BATCH_ROWS):
                        yield batch.slice(start, BATCH_ROWS)
        except (pa.ArrowInvalid, OSError, EOFError) as error:
            raise BadInputFile(f"{self._path} is damaged: {error}") from None

    def _open(self, columns: Sequence[str] | None) -> pa_csv.CSVStreamingReader:
        """columns: read these as text; None reads all as what they look like."""
        convert = pa_csv.ConvertOptions(null_values=[""], strings_can_be_null=True, timestamp_parsers=[])
        if columns is not None:
            convert.column_types = dict.fromkeys(columns, pa.string())
            convert.include_columns = list(columns)
        return pa_csv.open_csv(
            pa.input_stream(self._path, compression="detect"),
            read_options=pa_csv.ReadOptions(block_size=CSV_BLOCK_BYTES),
            convert_options=convert,
        )


def sorted_batches(table: Table, columns: Sequence[str], rule: EventTime, file: str) -> Iterator[pa.RecordBatch]:
    """All rows by event time, ties in file order, those without a time last. Holds the columns in memory, texts once
    each."""
    parts = [_dictionaries(batch) for batch in table.batches(columns)]
    if not parts:
        return
    whole = pa.Table.from_batches(parts).unify_dictionaries().combine_chunks()
    ms = [event_times(plain(chunk), rule, file)[1] for chunk in whole[rule.column].chunks]
    whole_ms = np.concatenate(ms)
    order = np.argsort(np.where(whole_ms == UNKNOWN, LAST, whole_ms), kind="stable")
    for start in range(0, len(order), BATCH_ROWS):
        for batch in whole.take(pa.array(order[start : start + BATCH_ROWS])).combine_chunks().to_batches():
            yield _decoded(batch)


def plain(values: pa.Array) -> pa.Array:
    """Values without a dictionary."""
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _dictionaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [values.dictionary_encode() if pa.types.is_string(values.type) else values for values in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([plain(values) for values in batch.columns], names=batch.schema.names)


def _plain_kind(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
