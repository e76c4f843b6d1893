"""`fleetlake reconcile`: counts every stage from its own store."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from cli.environment import ALL, each_region, enter_region, run_in_each_region
from cli.tables import figure, key, open_console, print_table
from contracts.errors import Misuse, NotReconciled


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reconcile")(_reconcile)


def _reconcile(
    region: Annotated[str, typer.Option(help="A region of regions.toml, or 'all': one process each.")],
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
    whole: Annotated[
        bool,
        typer.Option("--whole", help="Read all of landing and history, not only what the last proof had not seen."),
    ] = False,
    accept_loss: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Accept a loss that this reconciliation finds; may be repeated; 'all' for all of them."
        ),
    ] = None,
    who: Annotated[str, typer.Option(help="Who accepts the loss.")] = "",
    why: Annotated[str, typer.Option(help="Why nothing brings the records back.")] = "",
) -> None:
    """stream = landed + rejected + suppressed; landed = history + duplicates; history = device days = marts.

    Exit code 1 where stages that should agree do not. What is not processed yet is a note, not a difference.
    """
    if accept_loss:
        _check_acceptance(region, who, why)
    results = _everywhere(whole) if region == ALL else [_here(region, whole, accept_loss or [], who, why)]
    ok = all(result["ok"] for result in results)
    if as_json:
        document = {"ok": ok, "regions": {result["region"]: result for result in results}}
        typer.echo(json.dumps(document if region == ALL else results[0]))
    else:
        _show(results)
    if not ok:
        raise typer.Exit(1)


def _check_acceptance(region: str, who: str, why: str) -> None:
    if region == ALL:
        raise Misuse("--accept-loss is for one region: name it")
    if not who.strip() or not why.strip():
        raise Misuse("--accept-loss needs --who NAME and --why REASON")


def _here(region: str, whole: bool, accept_loss: list[str], who: str, why: str) -> dict[str, Any]:
    enter_region(region)
    from cli.store_errors import naming_the_store
    from contracts.settings import RegionSettings
    from lake.store_watch import ending_with_its_stores
    from lake.stores import KINESIS, LAKE
    from reconcile import accept, reconcile

    settings = RegionSettings.load()
    with naming_the_store(region), ending_with_its_stores(settings, (*LAKE, KINESIS)):
        result = reconcile(settings, whole=whole)
        if accept_loss:
            accept(settings, result.losses, accept_loss, who, why)
            result = reconcile(settings, whole=whole)
        return result.document()


def _everywhere(whole: bool) -> list[dict[str, Any]]:
    runs = run_in_each_region(each_region(ALL), ["reconcile", "--json", *(["--whole"] if whole else [])], capture=True)
    silent = [run.region for run in runs if not run.output.strip()]
    if silent:
        raise NotReconciled(f"no result from {', '.join(silent)}; the lines above say why")
    return [json.loads(run.output) for run in runs]


def _show(results: list[dict[str, Any]]) -> None:
    console = open_console()
    table = Table(key("stage"), *(figure(result["region"]) for result in results))
    for stage in results[0]["stages"]:
        table.add_row(stage, *(f"{result['stages'][stage]:,}" for result in results))
    table.add_section()
    table.add_row("agrees", *("[green]yes" if result["ok"] else "[red]no" for result in results))
    console.print("[bold]User records by stage, each counted from its own store")
    print_table(table, console)
    for result in results:
        for note in result["notes"]:
            console.print(f"[{result['region']}] {note}", markup=False, soft_wrap=True)
        for sentence in result["differences"]:
            console.print(f"[{result['region']}] DIFFERENCE {sentence}", markup=False, style="red", soft_wrap=True)
