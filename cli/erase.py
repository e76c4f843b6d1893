"""`fleetlake erase`: takes a device or a person out of every store of a region, and shows that it did."""

import getpass
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cli.environment import enter_region
from cli.tables import figure, key, print_table
from contracts.errors import Misuse

if TYPE_CHECKING:
    from contracts.settings import RegionSettings
    from privacy.requests import Request


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("erase")(_erase)
    app.command("requests")(_requests)


def _erase(
    name: Annotated[str, typer.Argument(metavar="DEVICE_OR_SUBJECT", help="A device id, or a data subject's id.")],
    region: Annotated[str, typer.Option(help="A region of regions.toml.")],
    named: Annotated[str | None, typer.Option("--as", help="device or subject, where the name may be either.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Only event times from here on: RFC 3339, or a day.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="... and before this.")] = None,
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
    """Erase a device's or a person's data from every store of the region, and search for what is left.

    May be killed and run again: it goes on where it was. The report names nobody; it is signed under the region's key.
    """
    enter_region(region)
    from cli.store_errors import naming_the_store
    from contracts.settings import RegionSettings

    settings, actor = RegionSettings.load(), who.strip() or getpass.getuser()
    if lift and (dry_run or check or start or end):
        raise Misuse("--lift goes alone: it is an act of its own")
    with naming_the_store(region):
        if lift:
            _show_lifted(settings, name, actor, as_json=as_json)
        elif dry_run:
            _show_counts(settings, name, named, _moment(start), _moment(end), as_json=as_json)
        elif check:
            _show_check(settings, name, named, _moment(start), _moment(end), actor, as_json=as_json)
        else:
            done = _erased(settings, name, named, _moment(start), _moment(end), actor, wait, quiet=as_json)
            _show(done, report, as_json=as_json)


def _requests(
    region: Annotated[str, typer.Option(help="A region of regions.toml.")],
    verify: Annotated[Path | None, typer.Option(help="A report of an erasure: whether this region signed it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Requests of data subjects by when they are due; exit code 1 where one is overdue, or a report is not genuine."""
    enter_region(region)
    from cli.store_errors import naming_the_store
    from contracts.settings import RegionSettings
    from privacy import requests
    from privacy.erasure.evidence import is_genuine

    settings = RegionSettings.load()
    if verify is not None:
        genuine = is_genuine(settings, _read_report(verify))
        typer.echo(json.dumps({"genuine": genuine}) if as_json else ("genuine" if genuine else "not as it was signed"))
        raise typer.Exit(0 if genuine else 1)
    with naming_the_store(region):
        found = [one.document() for one in requests.listed(settings)]
    if as_json:
        typer.echo(json.dumps({"region": region, "requests": found}))
    else:
        table = Table(
            key("request"), key("kind"), key("state"), key("due"), key("steps done"), title=f"requests of {region}"
        )
        for one in found:
            due = "overdue" if one["overdue"] else str(one["due_at"])[:10]
            table.add_row(one["request_id"], one["kind"], one["state"], due, ", ".join(one["steps"]))
        print_table(table)
    if any(one["overdue"] for one in found):
        raise typer.Exit(1)


def _erased(
    settings: "RegionSettings",
    name: str,
    named: str | None,
    start: datetime | None,
    end: datetime | None,
    who: str,
    wait: float,
    *,
    quiet: bool,
) -> "Request":
    from cli.erasables import erasables
    from marts.holds import refuse_held
    from privacy import requests
    from privacy.erasure import run
    from privacy.erasure.scope import Named, scope_of
    from privacy.requests import Kind, State

    open_ones = [
        one for one in requests.of_subject(settings, name, Kind.ERASE) if one.state in (State.OPEN, State.RUNNING)
    ]
    if open_ones:
        request = open_ones[0]
    else:
        kind, scope = scope_of(settings, name, Named(named) if named else None, start=start, end=end)
        refuse_held(settings, scope.devices)
        request = run.begin(settings, kind, name, scope, who=who)
    if not quiet:
        typer.echo(f"request {request.request_id}, due {request.due_at.astimezone(UTC):%Y-%m-%d}")

    def tell(step: str, counts: Mapping[str, int]) -> None:
        if not quiet:
            said = ", ".join(f"{store} {count:,}" for store, count in counts.items() if count)
            typer.echo(f"  {step}: {said or 'nothing'}" if counts else f"  {step}")

    return run.run(settings, request, erasables(settings), who=who, within_s=wait, tell=tell)


def _show(done: "Request", report: Path | None, *, as_json: bool) -> None:
    signed = done.evidence or {}
    if report is not None:
        report.write_text(json.dumps(signed, indent=2) + "\n", encoding="utf-8")
    if as_json:
        typer.echo(json.dumps({**done.document(), "evidence": signed}))
        return
    table = Table(key("store"), figure("before"), figure("after"), title="decoded hits")
    for store, counts in signed.get("stores", {}).items():
        table.add_row(store, f"{counts['before']:,}", f"{counts['after']:,}")
    print_table(table)
    for one in signed.get("remains", []):
        until = one["until"][:16] if one["until"] else "a time that is not known"
        typer.echo(f"until {until}: {one['what']} ({one['why']})")
    typer.echo(
        f"erased; expired on {done.expires_at:%Y-%m-%d} at the latest. Log: {signed.get('audit_head', '')[:16]}..."
    )


def _show_counts(
    settings: "RegionSettings",
    name: str,
    named: str | None,
    start: datetime | None,
    end: datetime | None,
    *,
    as_json: bool,
) -> None:
    from cli.erasables import erasables
    from privacy.erasure.run import dry_run
    from privacy.erasure.scope import Named, scope_of

    kind, scope = scope_of(settings, name, Named(named) if named else None, start=start, end=end)
    counts = dry_run(erasables(settings), scope)
    if as_json:
        devices, named_as = len(scope.devices), kind.value
        typer.echo(json.dumps({"region": settings.region, "kind": named_as, "devices": devices, "counts": counts}))
        return
    table = Table(key("store"), figure("would go"), title=f"{len(scope.devices)} devices, by {kind.value}")
    for store, count in counts.items():
        table.add_row(store, f"{count:,}")
    print_table(table)


def _show_check(
    settings: "RegionSettings",
    name: str,
    named: str | None,
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
    from privacy.requests import Kind

    # The registry knows neither any more.
    of_device = named != "subject"
    scope = Scope((Portion(name, start, end),) if of_device else (), None if of_device else name)
    stores = erasables(settings)
    known = requests.of_subject(settings, name, Kind.ERASE)
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


def _state(request: dict[str, Any] | None) -> str:
    return f"the request is {request['state']}" if request else "there is no request by this name"


def _show_lifted(settings: "RegionSettings", name: str, who: str, *, as_json: bool) -> None:
    from privacy import requests
    from privacy.erasure import suppression
    from privacy.requests import Kind, SubjectKind

    if not suppression.entries_of(settings, name):
        raise Misuse(f"the device is not on the suppression list of region {settings.region}")
    request = requests.open_request(settings, Kind.LIFT, SubjectKind.DEVICE, name, who=who)
    version = suppression.lift(settings, name, who=who, request_id=request.request_id)
    requests.complete(settings, request, who=who, counts={"version": version})
    document = {"region": settings.region, "request_id": str(request.request_id), "version": version}
    typer.echo(
        json.dumps(document) if as_json else f"records of the device are taken in again (list version {version})"
    )


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Misuse(f"{text!r} is no time: write 2026-03-01 or 2026-03-01T06:00:00+01:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _read_report(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Misuse(f"{path} is no report of an erasure") from None
    return document
