"""`fleetlake retention`: what is past its time, and its removal; legal holds."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cli.acts import actor
from cli.environment import enter_region
from cli.tables import figure, key, print_table, text
from contracts.errors import Misuse

if TYPE_CHECKING:
    from contracts.settings import RegionSettings

_Region = Annotated[str, typer.Option(help="A region of regions.toml.")]
_Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]
_Who = Annotated[str | None, typer.Option(help="Who acts, for the audit; your login unless given.")]
_Fleet = Annotated[str | None, typer.Option(help="A fleet.")]
_Device = Annotated[str | None, typer.Option(help="A device.")]

_LONGEST_DAYS = 36_500
"""A hundred years: more is a slip of the finger."""

retention = typer.Typer(name="retention", help="How long data is kept, and what is past its time (GDPR Art. 5(1)(e)).")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(retention)


@retention.callback(invoke_without_command=True)
def _retention(
    context: typer.Context,
    region: Annotated[str | None, typer.Option(help="A region of regions.toml.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what a run would remove, and remove nothing.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Remove what is past its time from every store of a region, as the schedule does by night."""
    if context.invoked_subcommand is not None:
        return
    if region is None:
        raise Misuse("name the region: fleetlake retention --region R")
    enter_region(region, with_dagster=not dry_run)
    from cli.store_errors import naming_the_store
    from contracts.settings import RegionSettings

    with naming_the_store(region):
        document = _look(RegionSettings.load()) if dry_run else _run(RegionSettings.load())
    if as_json:
        typer.echo(json.dumps(document))
    else:
        _show(document)
    if not document["ok"]:
        typer.secho(f"fleetlake: {document['error']}", err=True, fg=typer.colors.RED)
        raise typer.Exit(1)


@retention.command("set")
def _set(
    region: _Region,
    days: Annotated[str, typer.Argument(help="Days that data is kept, or 'region' for the region's number.")],
    fleet: _Fleet = None,
    device: _Device = None,
    who: _Who = None,
    as_json: _Json = False,
) -> None:
    """Keep the data of a fleet, or of one device, for so many days. It reaches back: the next run removes the older."""
    settings, name, kind = _named(region, fleet, device)
    from marts.holds import set_days

    number = None if days == "region" else _number(days)
    with _noted(settings, "retention.set", who, as_json=as_json) as detail:
        set_days(settings, kind, name, number)
        detail |= {"of": kind, "days": number}


@retention.command("hold")
def _hold(
    region: _Region,
    why: Annotated[str, typer.Option(help="The claim or the law that it is kept for.")],
    fleet: _Fleet = None,
    device: _Device = None,
    who: _Who = None,
    as_json: _Json = False,
) -> None:
    """Keep everything of a device or a fleet until the hold is lifted, whatever its retention (GDPR Art. 17(3)(e))."""
    settings, name, kind = _named(region, fleet, device)
    from marts.holds import is_known, place

    if not is_known(settings, kind, name):
        typer.secho(f"fleetlake: the registry has no such {kind}: look at the spelling", err=True)
    with _noted(settings, "hold.placed", who, as_json=as_json) as detail:
        number = place(settings, kind, name, why, actor(who))
        detail |= {"of": kind, "hold_id": number}


@retention.command("lift")
def _lift(
    region: _Region,
    hold_id: Annotated[int, typer.Argument(help="The hold's number, as `holds` lists it.")],
    who: _Who = None,
    as_json: _Json = False,
) -> None:
    """Lift a hold: retention holds again."""
    settings = _settings(region)
    from marts.holds import lift

    with _noted(settings, "hold.lifted", who, as_json=as_json) as detail:
        lift(settings, hold_id, actor(who))
        detail |= {"hold_id": hold_id}


@retention.command("holds")
def _holds(region: _Region, as_json: _Json = False) -> None:
    """Legal holds that stand."""
    from marts.holds import standing

    rows = standing(_settings(region))
    if as_json:
        typer.echo(json.dumps(rows, default=str))
        return
    table = Table(figure("hold"), key("device"), key("fleet"), text("why"), text("by"), text("since"))
    for row in rows:
        since = f"{row['placed_at']:%Y-%m-%d}"
        table.add_row(
            str(row["hold_id"]), row["device_id"] or "", row["fleet_id"] or "", row["reason"], row["placed_by"], since
        )
    print_table(table)


def _settings(region: str) -> "RegionSettings":
    enter_region(region)
    from contracts.settings import RegionSettings

    return RegionSettings.load()


def _named(region: str, fleet: str | None, device: str | None) -> "tuple[RegionSettings, str, str]":
    if (fleet is None) == (device is None):
        raise Misuse("name a fleet or a device: --fleet F, or --device D")
    return (_settings(region), fleet, "fleet") if fleet is not None else (_settings(region), str(device), "device")


def _number(days: str) -> int:
    if not (days.isascii() and days.isdecimal() and 1 <= int(days[:9]) <= _LONGEST_DAYS):
        raise Misuse(f"{days!r}: give whole days, 1 to {_LONGEST_DAYS:,}, or 'region' for the region's number")
    return int(days)


@contextmanager
def _noted(settings: "RegionSettings", act: str, who: str | None, *, as_json: bool) -> Iterator[dict[str, Any]]:
    """An act and its row in the log: the log's database is there first, or nothing is done."""
    from privacy.audit import append
    from privacy.database import transaction

    by, detail = actor(who), dict[str, Any]()
    with transaction(settings) as connection:
        yield detail
        append(connection, settings, act, who=by, detail=detail)
    number = f" (hold {detail['hold_id']})" if "hold_id" in detail else ""
    told = f"{act}{number}; see what it reaches: fleetlake retention --dry-run"
    typer.echo(json.dumps({"act": act, **detail}) if as_json else told)


def _look(settings: "RegionSettings") -> dict[str, Any]:
    from assets.retention_work import LakeRetaining

    return LakeRetaining(settings).look().document() | {"ok": True}


def _run(settings: "RegionSettings") -> dict[str, Any]:
    from orchestration.local.entry_point import retain
    from privacy.retention import latest_run

    done = retain(settings.region)
    ended = latest_run(settings) if done.ok else None
    left = _look(settings)
    removed = ended[1] if ended else {}
    return left | {"dry_run": False, "ok": done.ok, "error": done.error, "seconds": done.seconds, "removed": removed}


def _show(document: dict[str, Any]) -> None:
    what = "would go" if document["dry_run"] else "removed"
    title = f"retention of {document['region']}: nothing from before {document['before']} where nothing else is said"
    table = Table(
        key("store"), figure("there"), text("oldest"), figure(what), figure("left past its time"), title=title
    )
    for name, one in document["stores"].items():
        removed = document["removed"].get(name, 0)
        left = one["waiting"] if document["dry_run"] else one["overdue"]
        table.add_row(name, f"{one['rows']:,}", one["oldest"] or "", f"{removed:,}", f"{left:,}")
    print_table(table)
