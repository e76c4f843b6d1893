"""`fleetlake trail`: records of devices in a span of time. A thin layer over lake.trail.SpotQuery."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.environment import enter_region, state_folder
from cli.trail_answer import Format, chosen, draw, report, tell_the_next_page, tell_what_is_missing, thinned, write
from contracts.errors import Misuse
from contracts.regions import find_region


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("trail")(_trail)


def _trail(
    region: Annotated[str, typer.Option(help="A region of regions.toml.")],
    first: Annotated[str, typer.Option("--from", help="A day of the region (2026-11-01), or a time with an offset.")],
    last: Annotated[str, typer.Option("--to", help="A day, which is included whole, or a time with an offset.")],
    device: Annotated[str | None, typer.Argument(help="The device_id.")] = None,
    more: Annotated[list[str] | None, typer.Option("--device", help="One more device; may be repeated.")] = None,
    devices_file: Annotated[
        Path | None, typer.Option("--devices", help="A file with a device_id on each line; 100 devices at most.")
    ] = None,
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
    limit: Annotated[
        int | None, typer.Option(min=1, help="A page of so many records; it says how to ask for the next.")
    ] = None,
    after: Annotated[str | None, typer.Option(help="The cursor that the page before gave.")] = None,
    as_map: Annotated[
        bool, typer.Option("--map", help="One HTML page that needs no network: route, speed and trips.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Report counts and bytes read as JSON, not the records.")
    ] = False,
) -> None:
    """Records of devices from history, landing and live state, each once, by device and time."""
    import stack
    from lake.trail.times import time_range

    start, end = time_range(first, last, find_region(region, stack.known_regions(state_folder())).zone)
    devices = _devices(device, more, devices_file)
    names = chosen(columns, len(devices) > 1)
    if form is Format.parquet and output is None and not as_json and sys.stdout.isatty():
        raise Misuse("Parquet is binary; name a file with --output, or pipe it on")
    enter_region(region)
    from cli.store_errors import naming_the_store
    from contracts.settings import RegionSettings
    from lake.store_watch import ending_with_its_stores
    from lake.stores import LAKE
    from lake.trail.spot_query import spot_query

    settings = RegionSettings.load()
    with naming_the_store(region), ending_with_its_stores(settings, LAKE), spot_query(settings) as query:
        found = thinned(query.trails(devices, start, end, after=after, limit=limit), every, simplify)
        if as_map:
            draw(settings, found, output)
    tell_what_is_missing(found, region)
    if not as_map:
        write(found, form, output, names, as_json=as_json)
    if as_json:
        report(found)
    else:
        tell_the_next_page(found)


def _devices(device: str | None, more: list[str] | None, file: Path | None) -> list[str]:
    """The devices that the command line names, each once. Raises Misuse for none."""
    named = [*([device] if device else []), *(more or []), *(_lines(file) if file else [])]
    if not named:
        raise Misuse("name a device: fleetlake trail DEVICE, --device ID, or --devices FILE with an id on each line")
    return list(dict.fromkeys(named))


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise Misuse(f"cannot read device ids from {file}: {type(error).__name__}; name a text file") from None
