"""`fleetlake restrict` and `fleetlake rectify`: what a data subject may ask for besides a copy and erasure."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.acts import actor, meant_as, moment_of
from cli.environment import enter_region
from contracts.errors import Misuse

if TYPE_CHECKING:
    from contracts.settings import RegionSettings

_Region = Annotated[str, typer.Option(help="A region of regions.toml.")]
_Json = Annotated[bool, typer.Option("--json", help="Report as JSON.")]
_Who = Annotated[str | None, typer.Option(help="Who acts, for the audit; your login unless given.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("restrict")(_restrict)
    app.command("rectify")(_rectify)


def _restrict(
    name: Annotated[str, typer.Argument(metavar="DEVICE_OR_SUBJECT", help="A device, or a data subject.")],
    region: _Region,
    named: Annotated[str | None, typer.Option("--as", help="device or subject, where the name may be either.")] = None,
    lift: Annotated[bool, typer.Option("--lift", help="End the restriction.")] = False,
    who: _Who = None,
    as_json: _Json = False,
) -> None:
    """Keep a device's data and neither show, count nor release it, until it is lifted (GDPR Art. 18).

    New records are still landed. A person's devices are restricted whole: what others did with them is hidden too.
    """
    settings, by = _settings(region), actor(who)
    from cli.store_errors import naming_the_store
    from lake.live_state import forget_live
    from marts.restriction import lift as lift_in_marts
    from marts.restriction import restrict
    from privacy.erasure.scope import scope_of
    from privacy.requests import Kind, complete, take_up

    about, scope = scope_of(settings, name, meant_as(named))
    if not scope.devices:
        raise Misuse(f"no device of region {region} is tied to this person: there is nothing to restrict")
    with naming_the_store(region):
        request = take_up(settings, Kind.LIFT if lift else Kind.RESTRICT, about, name, who=by)
        counts = lift_in_marts(settings, scope.devices) if lift else restrict(settings, scope.devices)
        if not lift:
            counts |= {"live": forget_live(settings, scope.devices)}
        complete(settings, request, who=by, counts=counts)
    said = {"region": region, "request_id": str(request.request_id), "lifted": lift, **counts}
    if not lift and counts["devices"] and not any(count for name, count in counts.items() if name != "devices"):
        typer.secho("fleetlake: nothing of it was shown anywhere: look at the spelling", err=True)
    if as_json:
        typer.echo(json.dumps(said))
        return
    changed, alike = ("are shown again", "shown") if lift else ("are stored and not shown any more", "restricted")
    others = len(scope.devices) - counts["devices"]
    before = f" ({others:,} were {alike} before)" if others else ""
    typer.echo(
        f"{counts['devices']:,} device(s) {changed}{before}; "
        f"{counts['days_due']:,} business days are due: fleetlake process"
    )


def _rectify(
    device_id: Annotated[str, typer.Argument(help="The device.")],
    region: _Region,
    why: Annotated[str, typer.Option(help="Why it was wrong, for the audit.")],
    make: Annotated[str | None, typer.Option(help="Who made it.")] = None,
    model: Annotated[str | None, typer.Option(help="Its model.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="car, van, truck, bus, train, machine or unknown.")] = None,
    fuel: Annotated[str | None, typer.Option(help="What it burns.")] = None,
    fleet: Annotated[str | None, typer.Option(help="The fleet that it is of.")] = None,
    add_subject: Annotated[str | None, typer.Option(help="A person that it is tied to.")] = None,
    first: Annotated[
        str | None, typer.Option("--from", help="Since when --add-subject had it: a day of the region, or a time.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="When they gave it back; empty while they have it.")] = None,
    drop_subject: Annotated[str | None, typer.Option(help="A person that it is not tied to.")] = None,
    who: _Who = None,
    as_json: _Json = False,
) -> None:
    """Put right what the registry says of a device, for the whole of its present period (GDPR Art. 16).

    Marts of that time are built again. What a device sent stays as it was sent.
    """
    facts = {"make": make, "model": model, "type": kind, "fuel": fuel, "fleet_id": fleet}
    given: dict[str, Any] = {column: value for column, value in facts.items() if value is not None}
    if not given and add_subject is None and drop_subject is None:
        raise Misuse("say what is right: --make, --model, --type, --fuel, --fleet, --add-subject or --drop-subject")
    if add_subject is None and (first or last):
        raise Misuse("--from and --to say when a person had the device: name them by --add-subject")
    _refuse_names(why, device_id, add_subject, drop_subject)
    settings, by = _settings(region), actor(who)
    from marts.rectification import rectify
    from privacy.audit import append
    from privacy.database import transaction

    had = moment_of(first, settings.row.zone), moment_of(last, settings.row.zone)
    with transaction(settings) as connection:  # first: what cannot be written down is not done
        changed = rectify(settings, device_id, given, add=add_subject, drop=drop_subject, had=had)
        append(connection, settings, "rectified", who=by, detail={"facts": changed, "why": why})
    if as_json:
        typer.echo(json.dumps({"region": region, "rectified": changed}))
    else:
        typer.echo(
            f"rectified: {', '.join(changed)}" if changed else "nothing to rectify: the registry says so already"
        )


def _refuse_names(why: str, *names: str | None) -> None:
    """The log outlives an erasure, and nothing can be taken out of it."""
    from contracts.erasable import Needles

    if not why.strip():
        raise Misuse("a correction needs a reason: --why TEXT")
    if Needles([name for name in names if name]).found_in(why):
        raise Misuse("--why names the device or the person, and stays in the log for ever: say it without")


def _settings(region: str) -> "RegionSettings":
    enter_region(region)
    from contracts.settings import RegionSettings

    return RegionSettings.load()
