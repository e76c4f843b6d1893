"""`fleetlake replay`: puts a file of telemetry on a region's stream."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cli.environment import enter_region
from cli.tables import key, print_table, text
from contracts.errors import Misuse

if TYPE_CHECKING:
    from devices.replay import ReplayReport

_FIRST = 5
"""Records that a dry run prints."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(_replay)


def _replay(
    file: Annotated[Path, typer.Argument(help="Parquet, CSV or JSON (the latter two also packed, as .gz).")],
    region: Annotated[
        str | None, typer.Option(help="A region of regions.toml; may be left out with --dry-run.")
    ] = None,
    rate: Annotated[str, typer.Option(help="Times real time by event time (1 is live), or 'max'.")] = "max",
    mapping: Annotated[
        str | None, typer.Option(help="A mapping's path, or the name of a shipped one; none for contract columns.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Without KPL aggregation.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing: print the first records, and the report.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Replay a file: its rows become records, in file order or, where the mapping says so, by event time."""
    from contracts.settings import RegionSettings
    from devices.pace import parse_rate
    from devices.progress import progress_bar
    from devices.replay import load_mapping, open_feed, rehearse, replay
    from marts.registry import register

    times_real = parse_rate(rate)
    found = load_mapping(mapping)
    if region is None and not dry_run:
        raise Misuse("--region is missing: name the region that the file goes to, or --dry-run to send nothing")
    feed = open_feed(file, found)
    if dry_run:
        with progress_bar(f"read {file.name}", feed.rows) as progress:
            report, first = rehearse(feed, first=_FIRST, progress=progress)
        _print_rehearsal(file, report, first, as_json=as_json)
        return
    enter_region(str(region))
    settings = RegionSettings.load()
    with progress_bar(f"replay {file.name}", feed.rows) as progress:
        enter = partial(register, settings)
        report = replay(feed, found, settings, enter, rate=times_real, aggregated=not plain, progress=progress)
    if as_json:
        typer.echo(json.dumps(report.report()))
    else:
        print_table(_table(f"{file.name} on telemetry-{region}", report))


def _print_rehearsal(file: Path, report: "ReplayReport", first: list[bytes], *, as_json: bool) -> None:
    lines = [payload.decode("utf-8", "backslashreplace") for payload in first]
    if as_json:
        typer.echo(json.dumps({"dry_run": True, "first_records": lines, **report.report()}))
        return
    for line in lines:
        typer.echo(line)
    print_table(_table(f"{file.name}, dry run: nothing is sent", report))


def _table(title: str, report: "ReplayReport") -> Table:
    found = report.report()
    table = Table(text(""), key(""), title=title, show_header=False)
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
    for label, value in report.findings.lines():
        table.add_row(label, escape(value))
    return table
