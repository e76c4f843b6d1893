"""`fleetlake rebuild-live`: rebuilds live state from history and landing."""

import json
from typing import Annotated

import typer

from cli.environment import enter_region

_FAILED = 1


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rebuild-live")(_rebuild_live)


def _rebuild_live(
    region: Annotated[str, typer.Option(help="A region of regions.toml.")],
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Rebuild a region's live state from history and landing while consumers run; they themselves only use landing."""
    enter_region(region)
    from cli.store_errors import naming_the_store
    from contracts.logs import log_to_stderr
    from contracts.outages import REDIS
    from contracts.settings import RegionSettings
    from ingest.service.rebuild_live import rebuild_live
    from lake.store_watch import ending_with_its_stores
    from lake.stores import LAKE
    from lake.trail.history_rows import HistoryRows

    log_to_stderr()
    settings = RegionSettings.load()
    with naming_the_store(region), ending_with_its_stores(settings, (*LAKE, REDIS)):
        history = HistoryRows(settings)
        complete = rebuild_live(settings, history)
    if as_json:
        typer.echo(json.dumps({"region": region, "complete": complete, "history_rows": history.rows}))
    else:
        typer.echo(
            f"{region}: live state is {'complete' if complete else 'not complete'}; history: {history.rows:,} rows"
        )
    if not complete:
        raise typer.Exit(_FAILED)
