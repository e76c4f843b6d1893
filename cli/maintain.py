"""`fleetlake maintain`: does at once what the maintenance schedule does by night."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from cli.environment import enter_region
from cli.tables import figure, key, print_table

if TYPE_CHECKING:
    from lake.maintain.health import TableHealth


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("maintain")(_maintain)


def _maintain(
    region: Annotated[str, typer.Option(help="A region of regions.toml.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print a document instead of a table.")] = False,
) -> None:
    """Rewrite closed days of history, expire old snapshots, delete stray files, and show how the tables are kept.

    Merges, derivations and readers go on beside it. The run is in Dagster, as those of the schedule are.
    """
    enter_region(region, with_dagster=True)
    import msgspec

    from cli.store_errors import naming_the_store
    from contracts.settings import RegionSettings
    from lake.maintain.progress import latest_health
    from orchestration.local.entry_point import maintain

    with naming_the_store(region):
        done = maintain(region)
        tables = latest_health(RegionSettings.load())
    if as_json:
        found: dict[str, Any] = {one.table: msgspec.to_builtins(one) for one in tables}
        typer.echo(json.dumps({"region": region, "ok": done.ok, "seconds": done.seconds, "tables": found}))
    else:
        print_table(_table(region, tables, done.seconds))
    if not done.ok:
        typer.secho(f"fleetlake: {done.error}", err=True, fg=typer.colors.RED)
        raise typer.Exit(1)


def _table(region: str, tables: "list[TableHealth]", seconds: float) -> Table:
    counts = ("rows", "days", "files", "small_files", "delete_files", "manifests", "snapshots")
    heads = [figure(name.replace("_", " ")) for name in counts]
    table = Table(key("table"), *heads, figure("MB"), title=f"tables of {region}, maintained in {seconds:,.1f} s")
    for one in tables:
        cells = [f"{getattr(one, name):,}" for name in counts]
        table.add_row(one.table, *cells, f"{one.bytes / 1e6:,.1f}")
    return table
