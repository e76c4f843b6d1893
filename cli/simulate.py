"""`fleetlake simulate`: puts the records of simulated fleets on a region's stream."""

import json
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.table import Table

from cli.environment import ALL, each_region, enter_region, exit_code_of, run_in_each_region
from cli.tables import key, print_table, text
from contracts.errors import Misuse

if TYPE_CHECKING:
    from devices.fleet import SimulationReport


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulate")(_simulate)


def _simulate(
    region: Annotated[str, typer.Option(help="A region of regions.toml, or 'all'.")],
    devices: Annotated[int, typer.Option(help="How many vehicles; from 60 on at least 10 of each type.")] = 60,
    hours: Annotated[float, typer.Option(help="How much time the records cover.")] = 24.0,
    seed: Annotated[int, typer.Option(help="The same seed and start give the same bytes.")] = 1,
    rate: Annotated[str, typer.Option(help="Times real time (1 is live), or 'max'.")] = "max",
    start: Annotated[
        str | None, typer.Option(help="First event time, ISO 8601 with zone; by default the latest that can be.")
    ] = None,
    mess: Annotated[bool, typer.Option("--mess/--no-mess", help="The mess of the field: see the how-to.")] = False,
    mess_share: Annotated[float, typer.Option(help="With --mess: the share of records with something wrong.")] = 0.03,
    plain: Annotated[bool, typer.Option("--plain", help="Without KPL aggregation.")] = False,
    via: Annotated[str, typer.Option(help="stream, or through the gateway: mqtt, http.")] = "stream",
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Simulate fleets: vehicles at work in the region, their records put on its stream, or sent to its gateway."""
    if via not in ("stream", "mqtt", "http"):
        raise Misuse(f"--via {via!r} is none of stream, mqtt, http")
    from contracts.settings import RegionSettings
    from devices.fleet import Mess, Simulation, check, check_not_ahead, default_start, simulate
    from devices.pace import parse_rate
    from devices.progress import progress_bar
    from marts.registry import register

    times_real, now = parse_rate(rate), datetime.now(UTC)
    given, wrong = None if start is None else _moment(start), Mess(mess_share) if mess else None
    check(devices, hours, seed, given)
    begins = given or default_start(now, hours, times_real)
    check_not_ahead(begins, hours, times_real, now)
    if region == ALL:
        _everywhere(as_json=as_json)
    enter_region(region)
    settings = RegionSettings.load()
    simulation = Simulation(
        settings.row,
        devices=devices,
        hours=hours,
        seed=seed,
        start=begins,
        mess=wrong,
    )
    with progress_bar(f"simulate {region}", None) as progress:
        enter = partial(register, settings)
        if via == "stream":
            report = simulate(simulation, settings, enter, rate=times_real, aggregated=not plain, progress=progress)
        else:
            from cli.uplink import simulate_via

            report = simulate_via(via, simulation, settings, enter, rate=times_real, progress=progress)
    if as_json:
        typer.echo(json.dumps(report.report()))
    else:
        print_table(_table(report))


def _everywhere(*, as_json: bool) -> NoReturn:
    """Run the same command in every region, each in a process of its own. `--json` prints one object."""
    runs = run_in_each_region(each_region(ALL), capture=as_json)
    if as_json:
        typer.echo(json.dumps({"regions": {run.region: json.loads(run.output) for run in runs if run.output}}))
    raise typer.Exit(exit_code_of(runs))


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Misuse(f"--start {text!r} is no time; write one such as 2026-11-20T06:00:00Z") from None


def _table(report: "SimulationReport") -> Table:
    found = report.report()
    title = f"{found['devices']} devices on telemetry-{found['region']}"
    table = Table(text(""), key(""), title=title, show_header=False)
    for label in ("records", "distinct", "duplicates", "kinesis_records", "bytes"):
        table.add_row(label.replace("_", " "), f"{found[label]:,}")
    if gateway := found.get("gateway"):
        table.add_row("acknowledged by the gateway", f"{gateway['acknowledged']:,}")
        for reason, records in gateway["refused"].items():
            table.add_row(f"  refused: {reason.replace('_', ' ')}", f"{records:,}")
    for kind, records in found["mess"].items():
        if records:
            table.add_row(f"  of them {kind.replace('_', ' ')}", f"{records:,}")
    table.add_row("to be rejected", f"{sum(found['expect']['rejected'].values()):,}")
    table.add_row("first event", str(found["first_ts"]))
    table.add_row("last event", str(found["last_ts"]))
    table.add_row("seconds", f"{found['seconds']:,.1f}")
    table.add_row("records/s", f"{found['rate']:,.0f}")
    return table
