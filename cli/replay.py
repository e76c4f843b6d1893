"""`fleetlake replay`: puts a file of telemetry on a region's stream."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.environment import enter_region
from cli.tables import key, print_table, text
from contracts.settings import RegionSettings

if TYPE_CHECKING:
    from devices.replay import ReplayReport


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(_replay)


def _replay(
    file: Annotated[Path, typer.Argument(help="Parquet, CSV or JSON Lines (the latter two also as .gz).")],
    region: Annotated[str, typer.Option(help="A region of regions.toml.")],
    rate: Annotated[str, typer.Option(help="Times real time by event time (1 is live), or 'max'.")] = "max",
    mapping: Annotated[
        str | None, typer.Option(help="A mapping's path, or the name of a shipped one; none for contract columns.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Without KPL aggregation.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Replay a file: its rows become records, in file order or, where the mapping says so, by event time."""
    from devices.pace import parse_rate
    from devices.progress import progress_bar
    from devices.replay import load_mapping, open_feed, replay
    from marts.registry import register

    times_real = parse_rate(rate)
    found = load_mapping(mapping)
    feed = open_feed(file, found)
    enter_region(region)
    settings = RegionSettings.load()
    with progress_bar(f"replay {file.name}", feed.rows) as progress:
        enter = partial(register, settings)
        report = replay(feed, found, settings, enter, rate=times_real, aggregated=not plain, progress=progress)
    if as_json:
        typer.echo(json.dumps(report.report()))
    else:
        print_table(_table(file, region, report))


def _table(file: Path, region: str, report: "ReplayReport") -> Table:
    found = report.report()
    table = Table(text(""), key(""), title=f"{file.name} on telemetry-{region}", show_header=False)
    for label, value in (
        ("records", f"{found['records']:,}"),
        ("in Kinesis records", f"{found['kinesis_records']:,}"),
        ("bytes", f"{found['bytes']:,}"),
        ("devices", f"{found['devices']:,}"),
        ("first event", found["first_ts"]),
        ("last event", found["last_ts"]),
        ("seconds", f"{found['seconds']:,.1f}"),
        ("records/s", f"{found['rate']:,.0f}"),
    ):
        table.add_row(label, value)
    if found["not_json"]:
        table.add_row("lines that are not JSON objects, sent unchanged", f"{found['not_json']:,}")
    if found["dropped_columns"]:
        table.add_row("columns not sent", ", ".join(found["dropped_columns"]))
    return table
