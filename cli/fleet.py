"""`fleetlake fleet`: whose it is, and what counts as a trip."""

import json
import re
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table

from cli.environment import enter_region
from cli.tables import figure, key, print_table
from contracts.errors import Misuse

_Region = Annotated[str, typer.Option(help="A region of regions.toml.")]
_Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]
_REGIONS = "region"
"""In place of a number: the region's rule again."""
_SECONDS = ("stop_s", "gap_s")

fleet = typer.Typer(name="fleet", help="Whose a fleet is, and what counts as a trip of it.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(fleet)


@fleet.command("rules")
def _rules(
    fleet_id: Annotated[str, typer.Argument(help="The fleet.")],
    region: _Region,
    stop_s: Annotated[str | None, typer.Option(help="A trip ends after so long without movement.")] = None,
    gap_s: Annotated[str | None, typer.Option(help="... or without a record.")] = None,
    least_m: Annotated[str | None, typer.Option(help="A trip is at least so many metres long.")] = None,
    least_s: Annotated[str | None, typer.Option(help="... or so many seconds, where nothing measured it.")] = None,
    since: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="Derive business days again from here on.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Give a fleet rules of its own; 'region' in place of a number is the region's rule again.

    Business days become due, all of them without --from: `process` derives them again.
    """
    given = {"stop_s": stop_s, "gap_s": gap_s, "least_m": least_m, "least_s": least_s}
    rules = {name: _number(name, value) for name, value in given.items() if value is not None}
    if not rules:
        raise Misuse("name a rule: --stop-s, --gap-s, --least-m or --least-s")
    enter_region(region)
    from contracts.settings import RegionSettings
    from lake.derive.fleet_rules import set_rules

    days = set_rules(RegionSettings.load(), fleet_id, rules, since.date() if since else None)
    if as_json:
        typer.echo(json.dumps({"fleet_id": fleet_id, "rules": rules, "days_due": days}))
    else:
        typer.echo(f"{fleet_id}: {days:,} business days are due; `fleetlake process` derives them again")


@fleet.command("customer")
def _customer(
    fleet_id: Annotated[str, typer.Argument(help="The fleet; entered where it is new.")],
    region: _Region,
    customer: Annotated[str, typer.Option(help="The company whose fleet it is, by one name in all regions.")],
    as_json: _Json = False,
) -> None:
    """Say whose fleet it is: fleets of one customer are one holder, which gets its own totals in the world."""
    enter_region(region)
    from contracts.derived import CUSTOMER_PATTERN
    from contracts.registry import Fleet
    from contracts.settings import RegionSettings
    from marts.registry import fleet_name, register

    if not re.fullmatch(CUSTOMER_PATTERN, customer):
        raise Misuse(f"--customer {customer!r}: 1 to 64 of A-Z a-z 0-9 . _ : -")
    settings = RegionSettings.load()
    register(settings, [Fleet(fleet_id, fleet_name(settings, fleet_id), customer)], [])
    if as_json:
        typer.echo(json.dumps({"fleet_id": fleet_id, "customer": customer}))
    else:
        typer.echo(f"{fleet_id} is a fleet of {customer}; days that are released from now on go by it")


@fleet.command("list")
def _list(region: _Region, as_json: _Json = False) -> None:
    """Fleets that have rules of their own."""
    enter_region(region)
    from contracts.settings import RegionSettings
    from lake.derive.fleet_rules import fleet_rules

    found = fleet_rules(RegionSettings.load())
    if as_json:
        typer.echo(json.dumps({"fleets": [one._asdict() for one in found]}))
        return
    table = Table(key("fleet_id"), *(figure(name) for name in ("stop_s", "gap_s", "least_m", "least_s")))
    for name, *rules in found:
        table.add_row(name, *("" if value is None else f"{value:,}" for value in rules))
    print_table(table)


def _number(name: str, value: str) -> float | None:
    if value == _REGIONS:
        return None
    whole = name in _SECONDS
    try:
        number = int(value) if whole else float(value)
    except ValueError:
        number = -1
    if not (1 if whole else 0) <= number < float("inf"):
        least = "whole seconds, 1 or more" if whole else "a number, 0 or more"
        raise Misuse(f"--{name.replace('_', '-')} {value!r}: give {least}, or {_REGIONS!r} for the region's rule")
    return number
