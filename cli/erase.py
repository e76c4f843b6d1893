"""`fleetlake erase`: takes a device or a person out of every store of a region, and shows that it did."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cli.acts import actor, meant_as, moment_of
from cli.environment import enter_region
from cli.tables import figure, key, print_table
from contracts.errors import Misuse

if TYPE_CHECKING:
    from contracts.settings import RegionSettings
    from privacy.erasure.scope import Named
    from privacy.requests import Request


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("erase")(_erase)


def _erase(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A device id, a data subject's id, or a fleet's.")],
    region: Annotated[str, typer.Option(help="A region of regions.toml.")],
    named: Annotated[
        str | None, typer.Option("--as", help="device or subject, where it may be either; or fleet.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Only event times from here on: RFC 3339, or a day of the region.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="... and before this; a day is not included.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would go, by store, and change nothing.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Search again for what was erased, as after 24 hours.")
    ] = False,
    lift: Annotated[bool, typer.Option("--lift", help="Take the device off the suppression list again.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for consumers to acknowledge.")] = 120.0,
    who: Annotated[str, typer.Option(help="Who does it, for the log; the user of this machine by default.")] = "",
    report: Annotated[Path | None, typer.Option(help="A file for the signed report.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Erase a device's, a person's or a whole fleet's data from every store of the region, and search for what is left.

    May be killed and run again: it goes on where it was. The report names nobody; it is signed under the region's key.
    """
    enter_region(region)
    from cli.store_errors import naming_the_store
    from contracts.settings import RegionSettings

    settings, by, meant = RegionSettings.load(), actor(who), meant_as(named, fleets=True)
    if lift and (dry_run or check or start or end):
        raise Misuse("--lift goes alone: it is an act of its own")
    if dry_run and check:
        raise Misuse("--dry-run looks at what would go, --check at what is left: one of them")
    _check_report(report, erases=not (lift or dry_run or check))
    first, last = (moment_of(text, settings.row.zone) for text in (start, end))
    with naming_the_store(region):
        if lift:
            _show_lifted(settings, name, by, as_json=as_json)
        elif dry_run:
            _show_counts(settings, name, meant, first, last, as_json=as_json)
        elif check:
            _show_check(settings, name, meant, first, last, by, as_json=as_json)
        else:
            done = _erased(settings, name, meant, first, last, by, wait, quiet=as_json)
            _show(done, report, as_json=as_json)


def _erased(
    settings: "RegionSettings",
    name: str,
    named: "Named | None",
    start: datetime | None,
    end: datetime | None,
    who: str,
    wait: float,
    *,
    quiet: bool,
) -> "Request":
    from cli.erasables import erasables
    from contracts.erasable import Scope
    from marts.holds import refuse_held
    from privacy.erasure import run
    from privacy.erasure.scope import scope_of

    request = run.open_erasure(settings, name)
    if request is None:
        kind, scope = scope_of(settings, name, named, start=start, end=end)
        refuse_held(settings, scope.devices)
        request = run.begin(settings, kind, name, scope, who=who, start=start, end=end)
    else:
        _refuse_another(request, named, start, end)
        refuse_held(settings, Scope.of_document(request.scope, "").devices)
    if not quiet:
        typer.echo(f"request {request.request_id}, due {request.due_at.astimezone(UTC):%Y-%m-%d}")

    def tell(step: str, counts: Mapping[str, int]) -> None:
        if not quiet:
            said = ", ".join(f"{store} {count:,}" for store, count in counts.items() if count)
            typer.echo(f"  {step}: {said or 'nothing'}" if counts else f"  {step}")

    return run.run(settings, request, erasables(settings), who=who, within_s=wait, tell=tell)


def _refuse_another(request: "Request", named: "Named | None", start: datetime | None, end: datetime | None) -> None:
    """A run goes on with what its request was about: whoever asks for something else would be told that it is done."""
    from privacy.erasure.scope import whole_ms
    from privacy.requests import SubjectKind

    kind = request.subject_kind if named is None else SubjectKind(named.value)
    if request.is_about(kind, whole_ms(start), whole_ms(end)):
        return
    times = [("--from", request.start), ("--to", request.end)]
    said = " ".join(f"{option} {at.astimezone(UTC).isoformat()}" for option, at in times if at is not None)
    about = f"--as {request.subject_kind.value} {said or 'and no time'}"
    raise Misuse(
        f"request {request.request_id} about this name was begun with {about} and is not done: run that to its end "
        "first, then this"
    )


def _check_report(report: Path | None, *, erases: bool) -> None:
    """Before anything is done: afterwards a path that cannot be written would be found too late."""
    if report is None:
        return
    if not erases:
        raise Misuse("--report is of an erasure; a look at it writes none")
    if report.is_dir() or not report.absolute().parent.is_dir():
        raise Misuse(f"--report {report}: name a file in a folder that exists")


def _show(done: "Request", report: Path | None, *, as_json: bool) -> None:
    signed = done.evidence or {}
    if report is not None:
        report.write_text(json.dumps(signed, indent=2) + "\n", encoding="utf-8")
    if not signed.get("hits_before"):
        _say_unknown("is left out from now on; --lift takes it in again")
    if as_json:
        typer.echo(json.dumps({**done.document(), "evidence": signed}))
        return
    table = Table(key("store"), figure("before"), figure("after"), title="decoded hits")
    for store, counts in signed.get("stores", {}).items():
        table.add_row(store, f"{counts['before']:,}", f"{counts['after']:,}")
    print_table(table)
    if canary := signed.get("canary", {}):
        found, left = (sum(counts[when] > 0 for counts in canary.values()) for when in ("before", "after"))
        typer.echo(f"canary: found in {found} of {len(canary)} stores before, in {left} after")
    for one in signed.get("remains", []):
        until = one["until"][:16] if one["until"] else "a time that is not known"
        typer.echo(f"until {until}: {one['what']} ({one['why']})")
    typer.echo(f"erased; expired on {done.expires_at:%Y-%m-%d} at the latest. Log: {signed.get('audit_head', '')}")


def _show_counts(
    settings: "RegionSettings",
    name: str,
    named: "Named | None",
    start: datetime | None,
    end: datetime | None,
    *,
    as_json: bool,
) -> None:
    from cli.erasables import erasables
    from marts.holds import holds_on
    from privacy.erasure.run import dry_run
    from privacy.erasure.scope import scope_of

    kind, scope = scope_of(settings, name, named, start=start, end=end)
    counts, holds = dry_run(erasables(settings), scope), holds_on(settings, scope.devices)
    if holds:
        numbers = ", ".join(map(str, holds))
        typer.secho(f"fleetlake: it would be refused: legal hold {numbers} stands on it", err=True)
    if not any(counts.values()):
        _say_unknown("would be left out from then on")
    if as_json:
        said = {"region": settings.region, "kind": kind.value, "devices": len(scope.devices), "counts": counts}
        typer.echo(json.dumps({**said, "holds": holds}))
        return
    table = Table(key("store"), figure("would go"), title=f"{_devices(len(scope.devices))}, by {kind.value}")
    for store, count in counts.items():
        table.add_row(store, f"{count:,}")
    print_table(table)


def _devices(number: int) -> str:
    return "1 device" if number == 1 else f"{number:,} devices"


def _say_unknown(then: str) -> None:
    typer.secho(
        f"fleetlake: no store of the region has anything of this name: look at the spelling. What it sends {then}",
        err=True,
    )


def _show_check(
    settings: "RegionSettings",
    name: str,
    named: "Named | None",
    start: datetime | None,
    end: datetime | None,
    who: str,
    *,
    as_json: bool,
) -> None:
    from cli.erasables import erasables
    from contracts.erasable import Portion, Scope
    from privacy import requests
    from privacy.erasure.run import check_again, search
    from privacy.requests import Kind, SubjectKind

    if named == "fleet":
        raise Misuse(
            "its devices are in no registry any more; its report has the search that followed, and names nobody"
        )
    stores = erasables(settings)
    known = _asked_before(requests.of_subject(settings, name, Kind.ERASE), named, start, end)
    # The registry knows neither any more: the request says what the name was, and which time was meant.
    of_person = named == "subject" if not known else known[0].subject_kind is SubjectKind.SUBJECT
    first, last = (known[0].start, known[0].end) if known else (start, end)
    scope = Scope((), name) if of_person else Scope((Portion(name, first, last),))
    if known:
        request, found = check_again(settings, known[0], stores, scope, who=who)
        said: dict[str, Any] = {"request": request.document()}
    else:
        found, said = search(stores, scope), {"request": None}
    hits = sum(found.values())
    if as_json:
        typer.echo(json.dumps({**said, "hits": hits, "stores": found}))
    else:
        left = ", ".join(f"{store} {count:,}" for store, count in found.items() if count)
        typer.echo(f"{hits:,} hits{': ' + left if left else ''}; {_state(said['request'])}")
    if hits:
        raise typer.Exit(1)


def _asked_before(
    known: "list[Request]", named: "Named | None", start: datetime | None, end: datetime | None
) -> "list[Request]":
    """Requests of this name that --as, --from and --to do not rule out, the newest first."""
    from privacy.erasure.scope import whole_ms

    times = whole_ms(start), whole_ms(end)
    return [
        one
        for one in known
        if (named is None or one.subject_kind.value == named.value) and times in ((None, None), (one.start, one.end))
    ]


def _state(request: dict[str, Any] | None) -> str:
    return f"the request is {request['state']}" if request else "there is no request by this name"


def _show_lifted(settings: "RegionSettings", name: str, who: str, *, as_json: bool) -> None:
    from privacy import requests
    from privacy.erasure import suppression
    from privacy.requests import Kind, SubjectKind

    if not suppression.entries_of(settings, name):
        raise Misuse(f"the device is not on the suppression list of region {settings.region}")
    request = requests.take_up(settings, Kind.LIFT, SubjectKind.DEVICE, name, who=who)
    version = suppression.lift(settings, name, who=who, request_id=request.request_id)
    requests.complete(settings, request, who=who, counts={"version": version})
    document = {"region": settings.region, "request_id": str(request.request_id), "version": version}
    typer.echo(
        json.dumps(document) if as_json else f"records of the device are taken in again (list version {version})"
    )
