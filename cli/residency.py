"""`fleetlake residency`: every store of every region, asked with every other region's identity."""

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.environment import state_folder
from cli.tables import figure, key, print_table, text

if TYPE_CHECKING:
    from stack.residency import Attempt


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("residency")(_residency)


def _residency(as_json: Annotated[bool, typer.Option("--json", help="Each attempt as JSON.")] = False) -> None:
    """Try each store of this machine's stack with each identity: its own accepts it, all others refuse it."""
    from stack.residency import attempts

    found = attempts(state_folder())
    wrong = [one for one in found if not one.as_it_should]
    if as_json:
        import msgspec

        document = {"ok": not wrong, "attempts": len(found), "wrong": len(wrong)}
        typer.echo(json.dumps(document | {"tried": msgspec.to_builtins(found)}))
    else:
        _show(found, wrong)
    raise typer.Exit(1 if wrong else 0)


def _show(found: "list[Attempt]", wrong: "list[Attempt]") -> None:
    """A row an identity and store: whose names it was asked for, and how often it said yes and no."""
    rows: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for one in found:
        rows[one.identity, one.store].append(one)
    table = Table(
        key("identity"), key("store"), figure("own: accepted"), figure("others': refused"), text("refused by")
    )
    for (identity, store), tried in sorted(rows.items()):
        accepted = sum(one.outcome == "accepted" for one in tried)
        refused = [one for one in tried if one.outcome == "refused"]
        owners = ", ".join(sorted({one.of for one in refused}))
        table.add_row(identity, store, str(accepted), str(len(refused)), owners)
    print_table(table)
    for one in wrong:
        typer.secho(f"{one.identity}: {one.store}: {one.what} of {one.of}: {one.outcome} {one.said}", fg="red")
    typer.echo(f"{len(found)} attempts, {len(wrong)} not as they should be")
