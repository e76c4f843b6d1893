"""`fleetlake trail`: a device's records in a span of time."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cli.environment import enter_region, state_folder
from cli.tables import figure, key, print_table
from contracts.errors import Misuse
from contracts.regions import find_region

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


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("trail")(_trail)


def _trail(
    device: Annotated[str, typer.Argument(help="The device_id.")],
    region: Annotated[str, typer.Option(help="A region of regions.toml.")],
    first: Annotated[str, typer.Option("--from", help="A day of the region (2026-11-01), or a time with an offset.")],
    last: Annotated[str, typer.Option("--to", help="A day, which is included whole, or a time with an offset.")],
    form: Annotated[
        Format, typer.Option("--format", help="gpx and geojson leave flagged positions out.")
    ] = Format.table,
    output: Annotated[Path | None, typer.Option(help="Write the records, or the map, to this file.")] = None,
    columns: Annotated[
        str | None, typer.Option(help="Only these fields of a record, separated by commas; ts is always there.")
    ] = None,
    every: Annotated[float | None, typer.Option(min=0.001, help="One record in so many seconds, and the last.")] = None,
    simplify: Annotated[
        float | None,
        typer.Option(min=0.001, help="Only positions that the line needs if it may be off by so many metres."),
    ] = None,
    as_map: Annotated[
        bool, typer.Option("--map", help="One HTML page that needs no network: route, speed and trips.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Report counts and bytes read as JSON, not the records.")
    ] = False,
) -> None:
    """A device's records from history, landing and live state, each once, by time."""
    import stack
    from lake.trail.times import time_range

    start, end = time_range(first, last, find_region(region, stack.known_regions(state_folder())).zone)
    if form is Format.parquet and output is None and not as_json and sys.stdout.isatty():
        raise Misuse("Parquet is binary; name a file with --output, or pipe it on")
    enter_region(region)
    from cli.store_errors import naming_the_store
    from contracts.settings import RegionSettings
    from lake.store_watch import ending_with_its_stores
    from lake.stores import LAKE
    from lake.trail import trail

    settings = RegionSettings.load()
    with naming_the_store(region), ending_with_its_stores(settings, LAKE):
        found = _thinned(trail(settings, device, start, end), every, simplify)
        if as_map:
            output = _draw(settings, found, output)
    for store in found.missing:
        typer.secho(_without(store, region), err=True, fg=typer.colors.YELLOW)
    if not as_map:
        _write(found, form, output, as_json, _chosen(columns))
    if as_json:
        typer.echo(json.dumps(found.summary()))
    elif as_map:
        typer.echo(f"{found.records.num_rows:,} records on {output}. {_read(found)}", err=True)


def _without(store: str, region: str) -> str:
    return (
        f"fleetlake: {store} of region {region} does not answer: records that have not landed yet are not in this "
        "answer; ask again once it does"
    )


def _draw(settings: "RegionSettings", found: "Trail", output: Path | None) -> Path:
    """Write the page to `output`, or to a file of the device's name in this folder; returns which."""
    from lake.trail.day_map import day_map
    from lake.trail.day_sources import device_span

    seen = device_span(settings, found)
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in found.device_id)
    file = output or Path(f"{name}-{seen.day}.html")
    _save(file, day_map(seen).encode())
    return file


def _thinned(found: "Trail", every: float | None, simplify: float | None) -> "Trail":
    from lake.trail.thinning import one_in, simplified

    records = found.records
    if every is not None:
        records = one_in(records, every)
    if simplify is not None:
        records = simplified(records, simplify)
    return dataclasses.replace(found, records=records)


def _chosen(columns: str | None) -> list[str] | None:
    """The fields asked for, ts first. Raises Misuse for one that no record has."""
    from contracts.record import CONTRACT

    if columns is None:
        return None
    known = [column.name for column in CONTRACT]
    names = [name.strip() for name in columns.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        wrong = f"no field {', '.join(unknown)}" if unknown else "names no field"
        raise Misuse(f"--columns {columns!r}: {wrong}; a record has {', '.join(known)}")
    return ["ts", *(name for name in names if name != "ts")]


def _write(found: "Trail", form: Format, output: Path | None, as_json: bool, columns: list[str] | None) -> None:
    if columns and form.value in ("gpx", "geojson"):
        raise Misuse(f"--columns does not go with {form.value}, which has fields of its own; leave it out")
    if output is not None:
        _save(output, _formatted("jsonl" if form is Format.table else form.value, found, columns))
        if not as_json:
            typer.echo(f"{found.records.num_rows:,} records to {output}. {_read(found)}", err=True)
    elif as_json:
        return
    elif form is Format.table:
        print_table(_table(found, columns or _COLUMNS))
    else:
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


def _table(found: "Trail", names: Sequence[str] = _COLUMNS) -> Table:
    columns = [key(name) if name == "ts" else figure(name) for name in names]
    table = Table(*columns, title=f"{found.device_id}, {found.records.num_rows:,} records", caption=_read(found))
    rows = found.records.select(list(names))
    long = rows.num_rows > 2 * SHOWN
    for row in rows.slice(0, SHOWN if long else None).to_pylist():
        table.add_row(*_cells(row))
    if long:
        table.add_row(f"... {rows.num_rows - 2 * SHOWN:,} more ...")
        for row in rows.slice(rows.num_rows - SHOWN).to_pylist():
            table.add_row(*_cells(row))
    return table


def _cells(row: dict[str, Any]) -> list[str]:
    from lake.trail.formats import rfc3339

    moment, *values = row.values()
    return [rfc3339(moment), *("" if value is None else _short(value) for value in values)]


def _short(value: object) -> str:
    return f"{value:.5f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _read(found: "Trail") -> str:
    sources = found.sources
    return (
        f"{sources.history:,} from history, {sources.landing:,} from landing, {sources.live:,} from live state; "
        f"{found.bytes_read:,} bytes of {found.files_read} files read in {found.seconds:.2f} s"
    )
