"""`fleetlake replay-rejected`: puts rejected records back on the stream."""

import json
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from cli.environment import ALL, each_region, enter_region, exit_code_of, run_in_each_region
from cli.tables import figure, key, print_table

_FAILED = 1


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay-rejected")(_replay_rejected)


def _replay_rejected(
    region: Annotated[str, typer.Option(help="A region of regions.toml, or 'all': one process each.")],
    reason: Annotated[str | None, typer.Option(help="Of this reason only, for example poison.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also what was put back before and was rejected again.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Put rejected records back on the stream, once each, with their origin, once the cause is fixed."""
    if region == ALL:
        _everywhere(reason, again=again, as_json=as_json)
        return
    enter_region(region)
    from cli.store_errors import naming_the_store
    from contracts.outages import S3
    from contracts.settings import RegionSettings
    from ingest.replay import replay_rejected
    from lake.store_watch import ending_with_its_stores
    from lake.stores import KINESIS

    settings = RegionSettings.load()
    with naming_the_store(region), ending_with_its_stores(settings, (KINESIS, S3)):
        report = msgspec.to_builtins(replay_rejected(settings, reason=reason, again=again))
    _show([report], as_json=as_json, single=True)
    if report["refused"]:
        raise typer.Exit(_FAILED)


def _everywhere(reason: str | None, *, again: bool, as_json: bool) -> None:
    words = ["replay-rejected", "--json", *(["--reason", reason] if reason else []), *(["--again"] if again else [])]
    runs = run_in_each_region(each_region(ALL), words, capture=True)
    _show([json.loads(run.output) for run in runs if run.output.strip()], as_json=as_json, single=False)
    raise typer.Exit(exit_code_of(runs))


def _show(reports: list[dict[str, Any]], *, as_json: bool, single: bool) -> None:
    if as_json:
        whole = reports[0] if single else {"regions": {report["region"]: report for report in reports}}
        typer.echo(json.dumps(whole))
        return
    counts = ("found", "put", "replayed_before", "rejected_again", "refused", "gone")
    columns = key("region"), *(figure(name.replace("_", " ")) for name in counts)
    table = Table(*columns, title="rejected records")
    for report in reports:
        table.add_row(report["region"], *(f"{report[name]:,}" for name in counts))
    print_table(table)
