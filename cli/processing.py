"""`fleetlake processing`: the record of processing activities, made from what the code declares."""

import json
from typing import Annotated

import typer

from cli.environment import state_folder


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("processing")(_processing)


def _processing(
    as_json: Annotated[bool, typer.Option("--json", help="Print a document instead of a page.")] = False,
) -> None:
    """Print the record of processing activities (GDPR Art. 30): stores, columns, purposes, recipients, retention.

    It is made of contracts and dbt's models: no store is asked. As a page it is Markdown.
    """
    import stack
    from contracts.processing import classes
    from marts.classes import mart_classes
    from privacy.processing_record import as_markdown, record_of_processing

    regions = stack.known_regions(state_folder()).values()
    record = record_of_processing(regions, classes() | mart_classes(), mart_classes("world"))
    typer.echo(json.dumps(record) if as_json else as_markdown(record), nl=as_json)
