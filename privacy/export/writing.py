"""A part as files: JSON, CSV and Parquet, and GPX 1.1 where it has positions. Memory is bounded by a page."""

import csv
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Protocol
from xml.sax.saxutils import escape

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from contracts.portable import Part
from contracts.record import BAD_POSITION

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<gpx version="1.1" creator="Fleetlake" xmlns="http://www.topografix.com/GPX/1/1">\n'
_encode = msgspec.json.encode
Row = Mapping[str, Any]


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A part that was written."""

    rows: int
    columns: list[str]
    files: dict[str, int]
    """Bytes by the file's name, within the answer's folder."""


class _Writer(Protocol):
    def write(self, page: pa.Table, rows: list[dict[str, Any]]) -> None: ...

    def close(self) -> None: ...


def write_part(part: Part, folder: Path) -> Written:
    """Write the part's files to `folder`; an empty part has files too, which say so."""
    count, columns = 0, list[str]()
    files = {
        form: folder / f"{part.name}.{form}" for form in ("json", "csv", "parquet", *(["gpx"] if part.is_track else []))
    }
    with ExitStack() as closing:
        writers: list[_Writer] = []
        for page in part.pages():
            if not writers:
                columns = page.schema.names
                writers = [_WRITERS[form](file, page.schema) for form, file in files.items()]
                for writer in writers:
                    closing.callback(writer.close)
            if page.num_rows:
                rows = page.to_pylist(maps_as_pydicts="lossy")
                for writer in writers:
                    writer.write(page, rows)
                count += page.num_rows
    sizes = {file.name: file.stat().st_size for file in files.values() if file.exists()}
    return Written(rows=count, columns=columns, files=sizes)


class _Json:
    """One array, a row a line; fields without a value are left out, times are RFC 3339."""

    def __init__(self, file: Path, _: pa.Schema) -> None:
        self._to: IO[bytes] = file.open("wb")
        self._before = b"[\n"

    def write(self, _: pa.Table, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self._to.write(self._before)
            self._to.write(_encode({name: value for name, value in row.items() if value is not None}))
            self._before = b",\n"

    def close(self) -> None:
        self._to.write(b"[]\n" if self._before == b"[\n" else b"\n]\n")
        self._to.close()


class _Csv:
    """A header and a row a line, RFC 4180; lists and maps are JSON."""

    def __init__(self, file: Path, schema: pa.Schema) -> None:
        self._to = file.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._to)
        self._writer.writerow(schema.names)

    def write(self, _: pa.Table, rows: list[dict[str, Any]]) -> None:
        self._writer.writerows([_flat(value) for value in row.values()] for row in rows)

    def close(self) -> None:
        self._to.close()


class _Parquet:
    """All columns in their types."""

    def __init__(self, file: Path, schema: pa.Schema) -> None:
        self._schema = schema.remove_metadata()
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, page: pa.Table, _: list[dict[str, Any]]) -> None:
        self._writer.write_table(page.cast(self._schema))

    def close(self) -> None:
        self._writer.close()


class _Gpx:
    """A track of each device's unflagged positions, in the order of its records."""

    def __init__(self, file: Path, _: pa.Schema) -> None:
        self._to = file.open("w", encoding="utf-8")
        self._to.write(_HEAD)
        self._device: str | None = None

    def write(self, _: pa.Table, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["lat"] is None or row["lon"] is None or (row["flags"] or 0) & BAD_POSITION:
                continue
            if row["device_id"] != self._device:
                self._end_track()
                self._device = row["device_id"]
                self._to.write(f"<trk><name>{escape(row['device_id'])}</name><trkseg>\n")
            self._to.write(_point(row))

    def close(self) -> None:
        self._end_track()
        self._to.write("</gpx>\n")
        self._to.close()

    def _end_track(self) -> None:
        if self._device is not None:
            self._to.write("</trkseg></trk>\n")


_WRITERS: Mapping[str, Callable[[Path, pa.Schema], _Writer]] = {
    "json": _Json,
    "csv": _Csv,
    "parquet": _Parquet,
    "gpx": _Gpx,
}


def _point(row: Row) -> str:
    height = "" if row["altitude_m"] is None else f"<ele>{_number(row['altitude_m'])}</ele>"
    at = row["ts"].astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f'<trkpt lat="{_number(row["lat"])}" lon="{_number(row["lon"])}">{height}<time>{at}</time></trkpt>\n'


def _number(value: float) -> str:
    """All digits without an exponent, which XML's decimal does not have."""
    text = repr(value)
    return f"{Decimal(text):f}" if "e" in text else text


def _flat(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return _encode(value).decode() if isinstance(value, list | dict) else value
