"""Files of columns, Parquet and CSV, as batches of rows: in file order with bounded memory, or sorted by event time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from contracts.errors import BadInputFile
from contracts.mapping import EventTime
from devices.replay.times import UNKNOWN, event_times

BATCH_ROWS = 20_000
LAST = np.iinfo(np.int64).max


class Table(Protocol):
    """A file of columns.

    Promises
    - `kinds` has the file's columns in their order; of a text file, what its first block looks like.
    - `batches` gives every row once, in the file's order, in batches of at most BATCH_ROWS.
    - Both raise BadInputFile, with the file's name and what is wrong, where the file cannot be read as its kind.
    - `told` says how the file is read, `notes` what a person should look at.

    is_csv: all values are text. decimal: the mark in numbers that are text.
    """

    kinds: dict[str, pa.DataType]
    rows: int | None
    decimal: str

    @property
    def is_csv(self) -> bool: ...

    def told(self) -> dict[str, Any]: ...

    def notes(self) -> list[str]: ...

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]: ...


def cut_short(path: Path, read: str, error: Exception) -> BadInputFile:
    """A file that cannot be read to its end. read: how far it was."""
    text = str(error)
    if "straddling" in text:
        text = "a cell of more than 8 MiB: a quotation mark that opens a cell is not closed"
    elif "UTF8" in text or "UTF-8" in text:
        text = f'{text}: text that is not UTF-8; name its encoding in a mapping, such as encoding = "windows-1252"'
    return BadInputFile(
        f"{path} is damaged after its first {read}: {text}. Correct the file from there and replay it again: what was "
        "sent already counts once"
    )


def sorted_batches(table: Table, columns: Sequence[str], rule: EventTime, file: str) -> Iterator[pa.RecordBatch]:
    """All rows by event time, ties in file order, those without a time last. Holds the columns in memory, texts once
    each."""
    parts = [_dictionaries(batch) for batch in table.batches(columns)]
    if not parts:
        return
    whole = pa.Table.from_batches(parts).unify_dictionaries().combine_chunks()
    ms = [event_times(plain(chunk), rule, file).ms for chunk in whole[rule.column].chunks]
    whole_ms = np.concatenate(ms)
    order = np.argsort(np.where(whole_ms == UNKNOWN, LAST, whole_ms), kind="stable")
    for start in range(0, len(order), BATCH_ROWS):
        for batch in whole.take(pa.array(order[start : start + BATCH_ROWS])).combine_chunks().to_batches():
            yield decoded(batch)


def plain(values: pa.Array) -> pa.Array:
    """Values without a dictionary."""
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _dictionaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [values.dictionary_encode() if pa.types.is_string(values.type) else values for values in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch without dictionaries."""
    return pa.RecordBatch.from_arrays([plain(values) for values in batch.columns], names=batch.schema.names)


def plain_kind(kind: pa.DataType) -> pa.DataType:
    """A type without a dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind
