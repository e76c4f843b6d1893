"""`fleetlake demo`: the whole system on this machine with simulated fleets, then a report."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.environment import state_folder


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(_demo)


def _demo(
    report: Annotated[Path, typer.Option(help="Folder of the report, the map and the logs.")] = Path("demo_report"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Up, some 300,000 records over all regions with the mess of the field, consume, process, reconcile, report.

    A second run sends the same records again, which become duplicates, and new ones for the time since.
    """
    from cli.demo.run import run
    from cli.demo.show import show

    document = run(state_folder().resolve(), report, lambda line: typer.echo(line, err=True))
    if as_json:
        typer.echo(json.dumps(document, default=str))
    else:
        show(document)
    sys.stdout.flush()
    if not document["ok"]:
        raise typer.Exit(1)
