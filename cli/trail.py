"""`fleetlake trail`: a device's records in a span of time."""

import json
import sys
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
    output: Annotated[Path | None, typer.Option(help="Write the records to this file.")] = None,
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
        found = trail(settings, device, start, end)
    for store in found.missing:
        typer.secho(_without(store, region), err=True, fg=typer.colors.YELLOW)
    _write(found, form, output, as_json)
    if as_json:
        typer.echo(json.dumps(found.summary()))


def _without(store: str, region: str) -> str:
    return (
        f"fleetlake: {store} of region {region} does not answer: records that have not landed yet are not in this "
        "answer; ask again once it does"
    )


def _write(found: "Trail", form: Format, output: Path | None, as_json: bool) -> None:
    from lake.trail.formats import FORMATS

    if output is not None:
        written = FORMATS["jsonl" if form is Format.table else form.value](found)
        try:
            output.write_bytes(written)
        except OSError as error:
            raise Misuse(f"cannot write {output}: {error.strerror}; name another file") from None
        if not as_json:
            typer.echo(f"{found.records.num_rows:,} records to {output}. {_read(found)}", err=True)
    elif as_json:
        return
    elif form is Format.table:
        print_table(_table(found))
    else:
        sys.stdout.buffer.write(FORMATS[form.value](found))
        sys.stdout.buffer.flush()


def _table(found: "Trail") -> Table:
    columns = [key(name) if name == "ts" else figure(name) for name in _COLUMNS]
    table = Table(*columns, title=f"{found.device_id}, {found.records.num_rows:,} records", caption=_read(found))
    rows = found.records.select(list(_COLUMNS))
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
