"""`fleetlake package`: makes what runs elsewhere. `package emr` is the package of Spark jobs."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.tables import figure, key, print_table

if TYPE_CHECKING:
    from lake.package.build import Manifest


class Kind(StrEnum):
    """What can be packaged."""

    EMR = "emr"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("package")(_package)


def _package(
    kind: Annotated[Kind, typer.Argument(help="What to package: emr, all that a Spark job needs.")],
    to: Annotated[Path, typer.Option(help="The folder to make it in; an earlier package there is replaced.")] = Path(
        "build/emr"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest instead of a table.")] = False,
) -> None:
    """Make the package of Spark jobs from what is installed here, pinned by requirements.lock, without the network.

    The same content gives the same bytes. Upload the folder, and name its main.py in FLEETLAKE_EMR_ENTRY_POINT.
    """
    import msgspec

    from lake.package.build import build

    manifest = build(to)
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(manifest)))
    else:
        print_table(_table(manifest, to, kind))


def _table(manifest: "Manifest", to: Path, kind: Kind) -> Table:
    title = f"package {kind.value} {manifest.version} in {to}: Python {manifest.python} on {manifest.machine}"
    table = Table(key("file"), "what", figure("MB"), "sha256", title=title)
    for one in manifest.files:
        table.add_row(one.name, one.what, f"{one.bytes / 1e6:,.1f}", one.sha256[:12])
    table.add_row("together", "", f"{sum(one.bytes for one in manifest.files) / 1e6:,.1f}", "")
    return table
