"""Parquet files as batches of columns; structs as their leaves, binary text as text."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contracts.errors import BadInputFile
from devices.replay.csv_form import check_once
from devices.replay.objects import OWN_MAPS
from devices.replay.probe import FileForm
from devices.replay.tables import BATCH_ROWS, cut_short, decoded, plain_kind


class ParquetTable:
    """A Parquet file, a row group at a time. A tables.Table.

    paths: the columns that the mapping names, which may lead into signals and attributes too.
    """

    is_csv = False
    decimal = "."

    def __init__(self, form: FileForm, paths: Collection[str]) -> None:
        self._form, self._path = form, form.path
        try:
            self._file = pq.ParquetFile(form.path, memory_map=True)
        except (pa.ArrowInvalid, OSError) as error:
            raise BadInputFile(f"{form.path} is no readable Parquet file: {error}") from None
        leaves = [leaf for field in self._file.schema_arrow for leaf in _leaves(field, (), paths)]
        check_once([".".join(way) for way, _ in leaves], form)
        self._ways = {".".join(way): way for way, _ in leaves}
        self.kinds = {".".join(way): plain_kind(_text_kind(kind)) for way, kind in leaves}
        self._changed = {".".join(way) for way, kind in leaves if len(way) > 1 or not kind.equals(_text_kind(kind))}
        self.rows: int | None = self._file.metadata.num_rows

    def told(self) -> dict[str, Any]:
        """As the report says it."""
        return self._form.told()

    def notes(self) -> list[str]:
        """What a person should look at."""
        return []

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See Table."""
        rows = 0
        try:
            for batch in self._file.iter_batches(BATCH_ROWS, columns=list(columns)):
                yield decoded(self._flat(batch, columns) if self._changed else batch)
                rows += batch.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            raise cut_short(self._path, f"{rows:,} rows", error) from None

    def _flat(self, batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays([self._column(batch, name) for name in columns], names=list(columns))

    def _column(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        first, *further = self._ways[name]
        values = batch[first]
        if further:
            values = pc.struct_field(values, further)
        return _as_text(values, name, self._path) if name in self._changed else values


def _leaves(
    field: pa.Field, above: tuple[str, ...], paths: Collection[str]
) -> Iterator[tuple[tuple[str, ...], pa.DataType]]:
    """Columns below a field: structs have theirs, by a path each; the record's own maps stay whole."""
    way = (*above, field.name)
    own = not above and field.name in OWN_MAPS
    if own or not pa.types.is_struct(field.type):
        yield way, field.type
    if not pa.types.is_struct(field.type):
        return
    for child in field.type:
        for leaf in _leaves(child, way, paths):
            if not own or ".".join(leaf[0]) in paths:
                yield leaf


def _text_kind(kind: pa.DataType) -> pa.DataType:
    """Text for what is bytes in the file, else the same."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.string() if isinstance(kind, pa.UuidType) else _text_kind(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return kind if _text_kind(kind.value_type).equals(kind.value_type) else _text_kind(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = _text_kind(kind.value_type)
        return kind if inner.equals(kind.value_type) else pa.list_(inner)
    if pa.types.is_map(kind):
        key, item = _text_kind(kind.key_type), _text_kind(kind.item_type)
        return kind if key.equals(kind.key_type) and item.equals(kind.item_type) else pa.map_(key, item)
    as_bytes = (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_string_view(kind)
    )
    return pa.string() if as_bytes else kind


def _as_text(values: pa.Array, column: str, path: Path) -> pa.Array:
    """Raises BadInputFile where bytes are no UTF-8."""
    kind = _text_kind(values.type)
    if isinstance(values.type, pa.UuidType):
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if values.type.equals(kind):
        return values
    if pa.types.is_fixed_size_binary(values.type):
        values = values.cast(pa.binary())
    try:
        return values.cast(kind)
    except pa.ArrowInvalid:
        raise BadInputFile(
            f"{path}: column {column!r} holds bytes that are no UTF-8 text; leave it out in a mapping: "
            f'drop = ["{column}"]'
        ) from None
