"""`fleetlake export`: answers a data subject with everything that a region holds of them."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.acts import actor, meant_as
from cli.environment import enter_region, state_folder
from cli.tables import figure, key, print_table
from contracts.errors import Misuse
from contracts.regions import Region, find_region

if TYPE_CHECKING:
    from privacy.export import Answer


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(_export)


def _export(
    name: Annotated[str, typer.Argument(metavar="DEVICE_OR_SUBJECT", help="A device, or a data subject.")],
    region: Annotated[str, typer.Option(help="A region of regions.toml.")],
    named: Annotated[str | None, typer.Option("--as", help="device or subject, where the name may be either.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="A day of the region, or a time with an offset.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="A day, which is included, or a time.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="A new folder for the files; without it they go to exports/, with a link.")
    ] = None,
    who: Annotated[str | None, typer.Option(help="Who answers, for the audit; your login unless given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Everything of a device or a person, from every store, as JSON, CSV, Parquet and GPX with an index to read.

    GDPR Art. 15 and 20, Data Act Art. 4. It goes into exports/ of the region's bucket, with a link that ends.
    """
    import stack

    start, end = _times(first, last, find_region(region, stack.known_regions(state_folder())))
    enter_region(region)
    from cli.store_errors import naming_the_store
    from contracts.settings import RegionSettings
    from lake.portable import lake_parts
    from lake.store_watch import ending_with_its_stores
    from lake.stores import LAKE
    from marts.portable import fleet_parts
    from privacy.erasure.scope import scope_of
    from privacy.export import answer, privacy_parts

    settings, by, meant = RegionSettings.load(), actor(who), meant_as(named)
    with naming_the_store(region), ending_with_its_stores(settings, LAKE):
        kind, scope = scope_of(settings, name, meant, start=start, end=end)
        parts = [*lake_parts(settings, scope), *fleet_parts(settings, scope), *privacy_parts(settings, scope)]
        given = answer(settings, kind, name, scope, parts, who=by, start=start, end=end, folder=out)
    if as_json:
        typer.echo(json.dumps(given.document()))
    else:
        _show(given)
    if not any(given.parts.values()):
        raise Misuse("no store of the region has anything of this device or person; look at the spelling")


def _times(first: str | None, last: str | None, region: Region) -> tuple[datetime | None, datetime | None]:
    from lake.trail.times import time_range

    if first is None and last is None:
        return None, None
    if first is not None and last is not None:
        return time_range(first, last, region.zone)
    if first is not None:
        return time_range(first, "2200-01-01", region.zone)[0], None
    return None, time_range("2000-01-01", str(last), region.zone)[1]


def _show(given: "Answer") -> None:
    held = {name: rows for name, rows in given.parts.items() if rows}
    title = f"answer to request {given.request_id}: {given.bytes / 1e6:,.1f} MB in {given.seconds:,.1f} s"
    table = Table(key("part"), figure("rows"), title=title)
    for name, rows in held.items():
        table.add_row(name, f"{rows:,}")
    print_table(table)
    if given.link is not None:
        typer.echo(f"until {given.link_ends_at:%Y-%m-%d %H:%M} UTC, whoever has this link opens it:\n{given.link}")
    else:
        typer.echo(f"open {given.folder}/index.html")
