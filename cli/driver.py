"""`fleetlake driver`: when fleets work, and when whoever has a device drives for themselves."""

import json
from datetime import UTC, datetime
from getpass import getuser
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.environment import enter_region
from cli.tables import figure, key, print_table, text
from contracts.errors import Misuse

if TYPE_CHECKING:
    from contracts.settings import RegionSettings

_Region = Annotated[str, typer.Option(help="A region of regions.toml.")]
_Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]
_NONE = "none"
"""In place of hours: the fleet says none."""

driver = typer.Typer(name="driver", help="Work hours, and private times.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(driver)


@driver.command("hours")
def _hours(
    fleet_id: Annotated[str, typer.Argument(help="The fleet.")],
    words: Annotated[list[str], typer.Argument(help="'mon-fri 07:00-18:00' 'sat 08:00-12:00' ..., or none.")],
    region: _Region,
    since: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="Business days from here on, not today.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Say when a fleet works, by the region's clock, in place of what it said before. Trips outside are after hours."""
    settings = _settings(region)
    from marts.driving import set_work_hours, shifts

    hours = [] if words == [_NONE] else shifts(words)
    days = set_work_hours(settings, fleet_id, hours, since.date() if since else None)
    if as_json:
        typer.echo(json.dumps({"fleet_id": fleet_id, "shifts": len(hours), "days_due": days}))
    else:
        typer.echo(f"{fleet_id}: {len(hours):,} shifts a week; {days:,} business days are due")


@driver.command("list")
def _list(region: _Region, as_json: _Json = False) -> None:
    """Work hours of fleets that say them."""
    settings = _settings(region)
    from marts.driving import WEEKDAYS, work_hours

    rows = work_hours(settings)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table(key("fleet_id"), text("day"), figure("from"), figure("to"))
    for row in rows:
        table.add_row(row["fleet_id"], WEEKDAYS[row["weekday"] - 1], row["starts"], row["ends"])
    print_table(table)


@driver.command("private")
def _private(
    device_id: Annotated[str, typer.Argument(help="The device.")],
    region: _Region,
    start: Annotated[str, typer.Option("--from", help="RFC 3339 with an offset.")],
    end: Annotated[str | None, typer.Option("--to", help="RFC 3339 with an offset.")] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Take back the private time that begins at --from.")] = False,
    as_json: _Json = False,
) -> None:
    """Say when a device was driven privately: marts have no places of such trips, and driver_day tells them apart."""
    settings = _settings(region)
    from marts.driving import add_private_time, drop_private_time

    if drop == (end is not None):
        raise Misuse("give --to, or --drop")
    if end is None:
        drop_private_time(settings, device_id, _time(start))
    else:
        add_private_time(settings, device_id, _time(start), _time(end), getuser())
    typer.echo(json.dumps({"dropped": drop}) if as_json else "done; `fleetlake process` builds the marts again")


def _settings(region: str) -> "RegionSettings":
    enter_region(region)
    from contracts.settings import RegionSettings

    return RegionSettings.load()


def _time(written: str) -> datetime:
    wrong = f"{written!r} is no time; write it as 2026-11-30T18:00:00+02:00"
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise Misuse(wrong) from None
    if moment.tzinfo is None:
        raise Misuse(wrong)
    return moment.astimezone(UTC)
