"""CSV files as batches of text columns."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from contracts.errors import BadInputFile
from contracts.mapping import NULL_ANYWHERE, NULL_NO_TEXT, Mapping
from devices.replay.csv_form import csv_form
from devices.replay.probe import FileForm
from devices.replay.tables import BATCH_ROWS, cut_short

BLOCK_BYTES = 8 * 1024 * 1024


class CsvTable:
    """A CSV file with a header line; every value stays text until it is known where it goes. A tables.Table."""

    is_csv = True
    rows: int | None = None

    def __init__(self, form: FileForm, mapping: Mapping) -> None:
        self._form = form
        self._written = csv_form(form, mapping)
        self.decimal = self._written.decimal
        self._nulls = (*NULL_ANYWHERE, *NULL_NO_TEXT) if mapping.null is None else ("", *mapping.null)
        try:
            with self._open(None) as reader:
                self.kinds = {field.name: field.type for field in reader.schema}
        except (pa.ArrowInvalid, OSError, EOFError) as error:
            raise BadInputFile(f"{form.path} is no readable CSV file: {error}") from None

    def told(self) -> dict[str, Any]:
        """As the report says it."""
        return self._form.told() | self._written.told()

    def notes(self) -> list[str]:
        """What a person should look at."""
        number = self._written.doubtful
        if number is None:
            return []
        return [f'{number!r} may be a decimal comma or thousands; say which in a mapping: decimal = "," or "."']

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See Table."""
        rows = 0
        try:
            with self._open(columns) as reader:
                for batch in reader:
                    whole = _without_padding(batch) if self._written.padded else batch
                    for start in range(0, batch.num_rows, BATCH_ROWS):
                        yield whole.slice(start, BATCH_ROWS)
                    rows += batch.num_rows
        except (pa.ArrowInvalid, OSError, EOFError, UnicodeError) as error:
            raise cut_short(self._form.path, f"{rows:,} rows", error) from None

    def _open(self, columns: Sequence[str] | None) -> pa_csv.CSVStreamingReader:
        """columns: read these as text; None reads all as what they look like."""
        convert = pa_csv.ConvertOptions(
            null_values=list(self._nulls) if columns is None else [""],
            strings_can_be_null=True,
            timestamp_parsers=[],
            decimal_point=self.decimal,
        )
        if columns is not None:
            convert.column_types = dict.fromkeys(columns, pa.string())
            convert.include_columns = list(columns)
        encoding = self._form.encoding
        return pa_csv.open_csv(
            pa.input_stream(self._form.path, compression=self._form.compression),
            # The header is read and checked by csv_form, which knows of blanks in it and of columns without a name.
            read_options=pa_csv.ReadOptions(
                block_size=BLOCK_BYTES,
                column_names=self._written.names,
                skip_rows_after_names=1,
                encoding="utf8" if encoding in ("utf-8", "utf-8-sig") else encoding,
            ),
            parse_options=pa_csv.ParseOptions(delimiter=self._written.delimiter, newlines_in_values=True),
            convert_options=convert,
        )


def _without_padding(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Cells without the blank after the delimiter, and without the quotes that a blank before them makes text."""
    columns = []
    for values in batch.columns:
        trimmed = pc.utf8_trim_whitespace(values)
        quoted = pc.match_substring_regex(trimmed, '^".*"$')
        bare = pc.replace_substring(pc.utf8_slice_codeunits(trimmed, 1, -1), '""', '"')
        columns.append(pc.if_else(quoted, bare, trimmed))
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
