"""Lists as files of spreadsheets: CSV (RFC 4180), and Excel's workbooks."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

import msgspec

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_WIDEST = 40


class Sheet(StrEnum):
    """How a list is written."""

    json = "json"
    csv = "csv"
    xlsx = "xlsx"


MEDIA = {
    Sheet.csv: "text/csv; charset=utf-8",
    Sheet.xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def as_csv(kind: type[msgspec.Struct], items: Sequence[msgspec.Struct]) -> bytes:
    """Items of that kind, one a line, under a header of its fields."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(kind.__struct_fields__)
    writer.writerows([_plain(value) for value in msgspec.structs.astuple(item)] for item in items)
    return text.getvalue().encode()


def as_xlsx(kind: type[msgspec.Struct], items: Sequence[msgspec.Struct]) -> bytes:
    """A workbook of one sheet: dates and numbers are what they are, times are UTC, a text is never a formula."""
    import xlsxwriter

    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    sheet = book.add_worksheet("Fleetlake")
    formats = {
        datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
        date: book.add_format({"num_format": "yyyy-mm-dd"}),
    }
    sheet.write_row(0, 0, [_titled(name, items) for name in kind.__struct_fields__], book.add_format({"bold": True}))
    for row, item in enumerate(items, start=1):
        for column, value in enumerate(msgspec.structs.astuple(item)):
            if isinstance(value, datetime):
                sheet.write_datetime(row, column, value.astimezone(UTC).replace(tzinfo=None), formats[datetime])
            elif isinstance(value, date):
                sheet.write_datetime(row, column, value, formats[date])
            elif value is not None:
                sheet.write(row, column, value)
    sheet.freeze_panes(1, 1)
    sheet.autofilter(0, 0, max(1, len(items)), len(kind.__struct_fields__) - 1)
    sheet.autofit(max_width=_WIDEST * 7)
    book.close()
    return buffer.getvalue()


WRITERS: Mapping[Sheet, Callable[[type[msgspec.Struct], Sequence[msgspec.Struct]], bytes]] = {
    Sheet.csv: as_csv,
    Sheet.xlsx: as_xlsx,
}


def _titled(name: str, items: Sequence[msgspec.Struct]) -> str:
    """Excel knows no time zones: the title says that times are UTC."""
    return f"{name} (UTC)" if any(isinstance(getattr(item, name), datetime) for item in items[:1]) else name


def _plain(value: Any) -> Any:
    """A value as CSV has it. Programs for spreadsheets run a text that begins like a formula: a quote keeps it text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
