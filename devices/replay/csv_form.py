"""How a CSV file is written, by its first rows: delimiter, header, decimal mark, blanks after delimiters."""

import csv
import io
import re
from itertools import islice
from typing import Any, NamedTuple

from contracts.errors import BadInputFile
from contracts.mapping import Mapping
from devices.replay.probe import FileForm, sample

_DELIMITERS = ",;\t|"
_ROWS = 200
_POINT = re.compile(r"[+-]?[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}", re.ASCII)
_SMALL = re.compile(r"lat(itude)?|lon(gitude)?|lng", re.IGNORECASE)
"""Columns of positions: a value of thousands is none."""
_NAMES = {"\t": "tab"}


class CsvForm(NamedTuple):
    """names: the header's, each once. decimal: the mark in numbers. padded: a blank follows each delimiter.

    doubtful: a number that could be read in two ways, by the decimal mark.
    """

    names: list[str]
    delimiter: str
    decimal: str
    padded: bool
    doubtful: str | None

    def told(self) -> dict[str, Any]:
        """As the report says it."""
        return {
            "delimiter": _NAMES.get(self.delimiter, self.delimiter),
            "decimal": self.decimal,
            "blank_after_delimiter": self.padded,
        }


def csv_form(form: FileForm, mapping: Mapping) -> CsvForm:
    """The form of a CSV file. Raises BadInputFile where it has no header and rows, or a column twice."""
    text, whole = _sample_text(form, mapping)
    delimiter = mapping.delimiter or _delimiter(text, whole=whole)
    header, *rows = _rows(text, delimiter, whole=whole) or [[]]
    if not rows:
        raise BadInputFile(f"{form.path} is no readable CSV file: it needs a header line and rows below it")
    decimal, doubtful = (mapping.decimal, None) if mapping.decimal else _decimal(header, rows)
    cells = [cell for row in rows for cell in row[1:] if cell]
    padded = bool(cells) and all(cell.startswith(" ") for cell in cells)
    return CsvForm(_names(header, form), delimiter, decimal, padded, doubtful)


def _sample_text(form: FileForm, mapping: Mapping) -> tuple[str, bool]:
    data, whole = sample(form)
    try:
        return data.decode(), whole
    except UnicodeDecodeError as error:
        if not whole and error.end >= len(data) - 1:
            return data[: error.start].decode(), whole
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInputFile(
            f"{form.path}: line {line} is not UTF-8; name the encoding in a mapping: "
            f'encoding = "windows-1252" (or another that Python knows)'
        ) from None


def _rows(text: str, delimiter: str, *, whole: bool) -> list[list[str]]:
    """The first rows; the last one of a text that goes on is left out, as it may be cut."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    try:
        for row in islice(reader, _ROWS):
            rows.append(row)
    except csv.Error:
        pass
    rows = [row for row in rows if row]
    return rows if whole or len(rows) == _ROWS else rows[:-1] or rows


def _delimiter(text: str, *, whole: bool) -> str:
    """The one that cuts the header and most rows into the same number of cells; a comma in doubt."""

    def fit(delimiter: str) -> tuple[float, int]:
        header, *rows = _rows(text, delimiter, whole=whole) or [[]]
        if len(header) < 2:  # noqa: PLR2004 - one cell is not cut
            return 0.0, 0
        same = sum(len(row) == len(header) for row in rows)
        return (same / len(rows) if rows else 1.0), len(header)

    return max(_DELIMITERS, key=fit)


def _names(header: list[str], form: FileForm) -> list[str]:
    names = [name.strip() or f"column_{place}" for place, name in enumerate(header, 1)]
    check_once(names, form)
    return names


def check_once(names: list[str], form: FileForm) -> None:
    """Raises BadInputFile where a column is named twice."""
    for place, name in enumerate(names):
        if name in names[:place]:
            raise BadInputFile(
                f"{form.path} names column {name!r} twice (columns {names.index(name) + 1} and {place + 1}); "
                "name one of them otherwise"
            )


def _decimal(header: list[str], rows: list[list[str]]) -> tuple[str, str | None]:
    """The decimal mark, and a number that it is doubtful for."""
    cells = [(name, cell.strip()) for row in rows for name, cell in zip(header, row, strict=False)]
    commas = [(name, cell) for name, cell in cells if _COMMA.fullmatch(cell)]
    if not commas or any(_POINT.fullmatch(cell) for _, cell in cells):
        return ".", None
    plain = any(not _THOUSANDS.fullmatch(cell) or _SMALL.fullmatch(name.strip()) for name, cell in commas)
    return (",", None) if plain else (".", commas[0][1])
