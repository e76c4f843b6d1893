"""`fleetlake service`: service plans, what was done, and what is due."""

import json
from datetime import datetime
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cli.environment import enter_region
from cli.tables import figure, key, print_table, text

if TYPE_CHECKING:
    from contracts.settings import RegionSettings

_Region = Annotated[str, typer.Option(help="A region of regions.toml.")]
_Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]
_Plan = Annotated[str, typer.Argument(help="The plan's id.")]
_MEASURES = ("every_km", "every_engine_h", "every_days")

service = typer.Typer(name="service", help="Service plans, and what is due by them.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(service)


@service.command("plan")
def _plan(
    plan_id: _Plan,
    region: _Region,
    task: Annotated[str, typer.Option(help="What is to be done.")],
    fleet: Annotated[str | None, typer.Option(help="Devices of this fleet; of all without it.")] = None,
    make: Annotated[str | None, typer.Option(help="... of this make.")] = None,
    model: Annotated[str | None, typer.Option(help="... of this model.")] = None,
    every_km: Annotated[float | None, typer.Option(help="After so many kilometres,")] = None,
    every_engine_h: Annotated[float | None, typer.Option(help="or so many hours with the engine on,")] = None,
    every_days: Annotated[int | None, typer.Option(help="or so many days, whichever is first.")] = None,
    as_json: _Json = False,
) -> None:
    """Enter a service plan, in place of one of the same id."""
    settings = _settings(region)
    from marts.services import Plan, enter

    plan = Plan(
        plan_id=plan_id,
        task=task,
        fleet_id=fleet,
        make=make,
        model=model,
        every_km=every_km,
        every_engine_h=every_engine_h,
        every_days=every_days,
    )
    _print(enter(settings, [plan], getuser()), as_json=as_json)


@service.command("done")
def _done(
    plan_id: _Plan,
    device_ids: Annotated[list[str], typer.Argument(help="Devices.")],
    region: _Region,
    on: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Business day on which it was done.")],
    as_json: _Json = False,
) -> None:
    """Say that a service was done: it is counted from that day on."""
    settings = _settings(region)
    from marts.services import Done, enter

    entries = [Done(device_id=device, plan_id=plan_id, done_on=on.date()) for device in device_ids]
    _print(enter(settings, entries, getuser()), as_json=as_json)


@service.command("import")
def _import(
    file: Annotated[Path, typer.Argument(help="CSV of plans, or, with a column done_on, of services that were done.")],
    region: _Region,
    as_json: _Json = False,
) -> None:
    """Enter the plans or services of a file; all of them or none.

    Columns of plans: plan_id, task, fleet_id, make, model, every_km, every_engine_h, every_days.
    Columns of services: device_id, plan_id, done_on.
    """
    settings = _settings(region)
    from marts.services import enter, read

    _print(enter(settings, list(read(file)), getuser()), as_json=as_json)


@service.command("drop")
def _drop(plan_id: _Plan, region: _Region, as_json: _Json = False) -> None:
    """Remove a plan, and what is on record of its services."""
    settings = _settings(region)
    from marts.services import drop

    drop(settings, plan_id)
    _print({"dropped": 1}, as_json=as_json)


@service.command("list")
def _list(region: _Region, as_json: _Json = False) -> None:
    """Service plans."""
    settings = _settings(region)
    from marts.services import plans

    _show(plans(settings), ("plan_id", "task", "fleet_id", "make", "model"), _MEASURES, as_json=as_json)


@service.command("due")
def _due(region: _Region, as_json: _Json = False) -> None:
    """What is due, as the marts were built last."""
    settings = _settings(region)
    from marts.services import due

    left = ("left_km", "left_engine_h", "left_days")
    _show(due(settings), ("device_id", "plan_id", "task"), left, as_json=as_json)


def _settings(region: str) -> "RegionSettings":
    enter_region(region)
    from contracts.settings import RegionSettings

    return RegionSettings.load()


def _print(document: dict[str, int], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(document))
        return
    said = ", ".join(f"{name.replace('_', ' ')}: {count:,}" for name, count in document.items())
    typer.echo(f"{said}; `fleetlake process` builds the marts again")


def _show(rows: list[dict[str, Any]], words: tuple[str, ...], numbers: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table(key(words[0]), *map(text, words[1:]), *map(figure, numbers))
    for row in rows:
        shown = ("" if row[name] is None else f"{round(row[name], 1):,.10g}" for name in numbers)
        table.add_row(*(row[name] or "" for name in words), *shown)
    print_table(table)
