"""`fleetlake requests`: what data subjects asked for, the report of an erasure, and whether one is genuine."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from rich.table import Table

from cli.environment import enter_region
from cli.tables import key, print_table
from contracts.errors import Misuse

if TYPE_CHECKING:
    from contracts.settings import RegionSettings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("requests")(_requests)


def _requests(
    region: Annotated[str, typer.Option(help="A region of regions.toml.")],
    verify: Annotated[Path | None, typer.Option(help="A report of an erasure: whether this region signed it.")] = None,
    show: Annotated[
        str | None, typer.Option(metavar="REQUEST", help="Print the signed report of an erasure that is done.")
    ] = None,
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
        if show is not None:
            typer.echo(json.dumps(_report_of(settings, show), indent=2))
            return
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


def _report_of(settings: "RegionSettings", request_id: str) -> dict[str, Any]:
    from privacy import requests

    try:
        known = requests.find(settings, UUID(request_id))
    except ValueError:
        raise Misuse(f"{request_id!r} is no request: `fleetlake requests` lists them") from None
    if known.evidence is None:
        raise Misuse(f"request {request_id} is no erasure that is done: there is no report of it")
    return dict(known.evidence)


def _read_report(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        document = None
    if not isinstance(document, dict):
        raise Misuse(f"{path} is no report of an erasure")
    return document
