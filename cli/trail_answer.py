"""How `fleetlake trail` shows an answer: as a table, a file, a map, or its counts."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from cli.tables import aligned, figure, key, print_table
from contracts.errors import Misuse

if TYPE_CHECKING:
    from contracts.settings import RegionSettings
    from lake.trail import Trail

SHOWN = 20
"""Rows shown at the start of a long table, and at its end."""
_COLUMNS = ("ts", "lat", "lon", "speed_kmh", "heading_deg", "odometer_km", "engine_on", "fuel_pct", "flags")


class Format(StrEnum):
    """How the records are written."""

    table = "table"
    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"
    gpx = "gpx"
    geojson = "geojson"


def tell_what_is_missing(found: "Trail", region: str) -> None:
    """Say on standard error what the answer may lack, and how to go on where it is a page."""
    for store in found.missing:
        _warn(
            f"{store} of region {region} does not answer: records that have not landed yet are not in this answer; "
            "ask again once it does"
        )
    if found.restricted:
        _warn(
            f"{found.restricted} device(s) of region {region}: processing is restricted (GDPR Art. 18), so nothing is "
            "told; fleetlake restrict --lift ends it, fleetlake export answers the data subject"
        )
    if found.unreadable:
        _warn(
            f"{found.unreadable} landing object(s) of region {region} cannot be read, so their records are not in this "
            "answer; the check landing_is_readable of the asset history names them"
        )


def tell_the_next_page(found: "Trail") -> None:
    """Say on standard error how to ask for what follows this page."""
    if found.next is not None:
        typer.echo(f"more follows: ask again with --after {found.next}", err=True)


def _warn(text: str) -> None:
    typer.secho(f"fleetlake: {text}", err=True, fg=typer.colors.YELLOW)


def draw(settings: "RegionSettings", found: "Trail", output: Path | None) -> Path:
    """Write the map to `output`, or to a file of the devices' name in this folder; returns which."""
    from lake.trail.day_map import day_map
    from lake.trail.day_sources import device_spans

    seen = device_spans(settings, found)
    if not seen:
        raise Misuse("none of the devices has a record in this range; there is nothing to draw")
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in found.name)
    file = output or Path(f"{name}-{seen[0].day}.html")
    _save(file, day_map(*seen).encode())
    typer.echo(f"{found.records.num_rows:,} records on {file}. {_read(found)}", err=True)
    return file


def thinned(found: "Trail", every: float | None, simplify: float | None) -> "Trail":
    """Fewer records: one in `every` seconds, and those that a line off by `simplify` metres needs."""
    from lake.trail.thinning import one_in, simplified

    records = found.records
    if every is not None:
        records = one_in(records, every)
    if simplify is not None:
        records = simplified(records, simplify)
    return dataclasses.replace(found, records=records)


def chosen(columns: str | None, several: bool) -> list[str] | None:
    """The fields asked for, ts first, and the device before it where there are several. Raises Misuse for one that no
    record has.
    """
    from contracts.record import CONTRACT

    if columns is None:
        return None
    known = [column.name for column in CONTRACT]
    names = [name.strip() for name in columns.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        wrong = f"no field {', '.join(unknown)}" if unknown else "names no field"
        raise Misuse(f"--columns {columns!r}: {wrong}; a record has {', '.join(known)}")
    always = ["device_id", "ts"] if several else ["ts"]
    return [*always, *(name for name in names if name not in always)]


def report(found: "Trail") -> None:
    """Print counts and bytes read as JSON."""
    typer.echo(json.dumps(found.summary()))


def write(found: "Trail", form: Format, output: Path | None, columns: list[str] | None, *, as_json: bool) -> None:
    """Write the records to `output`, or print them unless a report is to be printed."""
    if columns and form.value in ("gpx", "geojson"):
        raise Misuse(f"--columns does not go with {form.value}, which has fields of its own; leave it out")
    if output is not None:
        _save(output, _formatted("jsonl" if form is Format.table else form.value, found, columns))
        if not as_json:
            typer.echo(f"{found.records.num_rows:,} records to {output}. {_read(found)}", err=True)
    elif not as_json and form is Format.table:
        print_table(_table(found, columns))
    elif not as_json:
        sys.stdout.buffer.write(_formatted(form.value, found, columns))
        sys.stdout.buffer.flush()


def _formatted(name: str, found: "Trail", columns: list[str] | None) -> bytes:
    from lake.trail.formats import FORMATS

    if columns and name == "parquet":
        return FORMATS[name](dataclasses.replace(found, records=found.records.select(columns)))
    return FORMATS[name](found, columns) if columns else FORMATS[name](found)


def _save(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise Misuse(f"cannot write {file}: {error.strerror}; name another file") from None


def _table(found: "Trail", chosen: Sequence[str] | None) -> Table:
    names = chosen or (_COLUMNS if len(found.devices) == 1 else ("device_id", *_COLUMNS))
    columns = [key(name) if name in ("device_id", "ts") else figure(name) for name in names]
    table = Table(*columns, title=f"{found.name}, {found.records.num_rows:,} records", caption=_read(found))
    rows = found.records.select(list(names))
    hidden = rows.num_rows - 2 * SHOWN
    shown = (
        rows.to_pylist()
        if hidden <= 0
        else [*rows.slice(0, SHOWN).to_pylist(), *rows.slice(SHOWN + hidden).to_pylist()]
    )
    for place, cells in enumerate(zip(*(_cells(name, [row[name] for row in shown]) for name in names), strict=True)):
        if hidden > 0 and place == SHOWN:
            table.add_row(f"... {hidden:,} more ...")
        table.add_row(*cells)
    return table


def _cells(name: str, values: list[Any]) -> list[str]:
    """A column as it is shown."""
    from lake.trail.formats import rfc3339

    if name == "ts":
        return [rfc3339(value) for value in values]
    if any(isinstance(value, float) for value in values):
        return aligned(values)
    return ["" if value is None else str(value) for value in values]


def _read(found: "Trail") -> str:
    sources = found.sources
    return (
        f"{sources.history:,} from history, {sources.landing:,} from landing, {sources.live:,} from live state; "
        f"{found.bytes_read:,} bytes of {found.files_read} files read in {found.seconds:.2f} s"
    )
