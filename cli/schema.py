"""`fleetlake schema`: how the region's Iceberg tables differ from the contract, and their evolution."""

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.environment import enter_region
from cli.tables import key, print_table, text

if TYPE_CHECKING:
    from lake.iceberg.evolution import Difference


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("schema")(_schema)


def _schema(
    region: Annotated[str, typer.Option(help="A region of regions.toml.")],
    apply: Annotated[
        bool, typer.Option("--apply", help="Evolve the tables, without Spark and without rewriting a file.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a document instead of a table.")] = False,
) -> None:
    """Show how the tables of history differ from the contract, and evolve them with --apply.

    Merges add new columns by themselves; a wider type waits for --apply. What could lose values is refused.
    """
    enter_region(region)
    import msgspec

    from cli.store_errors import naming_the_store
    from contracts.settings import RegionSettings
    from lake.iceberg.evolution import Kind
    from lake.iceberg.tables import schema_differences

    with naming_the_store(region):
        found = schema_differences(RegionSettings.load(), apply=apply)
    refused = any(one.kind is Kind.REFUSED for one in found)
    if as_json:
        document = {"region": region, "ok": not refused, "applied": apply, "differences": msgspec.to_builtins(found)}
        typer.echo(json.dumps(document))
    else:
        _print(region, found, apply=apply)
    if refused:
        raise typer.Exit(1)


def _print(region: str, found: "list[Difference]", *, apply: bool) -> None:
    if not found:
        typer.echo(f"The tables of {region} have the contract's columns.")
        return
    heads = key("table"), key("column"), text("what" if not apply else "done"), text("in the table"), text("contract")
    table = Table(*heads, title=f"tables of {region} and the contract")
    for one in found:
        table.add_row(one.table, one.column, one.kind.value, one.found, one.wanted)
    print_table(table)
