"""`fleetlake up`, `down` and `status`: the embedded stack of the state folder."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.environment import state_folder
from contracts.errors import Misuse

_Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]


def add_to(app: typer.Typer) -> None:
    """Add the three commands."""
    app.command()(up)
    app.command()(down)
    app.command()(status)


def up(
    port: Annotated[
        list[str] | None,
        typer.Option(metavar="SERVICE=PORT", help="Use this port for s3, kinesis, redis or postgres; may be repeated."),
    ] = None,
    regions: Annotated[Path | None, typer.Option(help="Region table, instead of regions.toml.")] = None,
    json: _Json = False,
) -> None:
    """Start the embedded stack, or repair and complete a running one."""
    import stack

    stack.up(state_folder(), regions, _ports(port or []), progress=_print_progress)
    services = stack.services_status(state_folder())
    if json:
        _print_json({"state": str(state_folder().resolve()), "services": services})
    else:
        typer.echo(f"up: {', '.join(services)} in {state_folder().resolve()}")


def down() -> None:
    """Stop the embedded stack. Data stays in the state folder."""
    import stack

    stack.down(state_folder(), progress=_print_progress)
    typer.echo("down")


def status(
    json: _Json = False,
    secrets: Annotated[bool, typer.Option("--secrets", help="Show secrets instead of ***.")] = False,
) -> None:
    """Endpoints and, per region, backlog, lag, watermark and counts.

    Exit code 1 where a service is not up, the region table cannot be read, or a region needs another `up`.
    """
    import stack

    found = stack.status(state_folder(), secrets=secrets)
    if json:
        _print_json(found)
    else:
        from cli.status_table import show

        show(found)
    not_up = [name for name, how in found["services"].items() if how != "up"]
    if not_up:
        typer.secho(f"fleetlake: {', '.join(not_up)} not up; run 'fleetlake up'", err=True, fg=typer.colors.RED)
    if not_up or found["problems"]:
        raise typer.Exit(1)


def _print_progress(line: str) -> None:
    typer.echo(line, err=True)


def _print_json(value: dict[str, Any]) -> None:
    from json import dumps

    sys.stdout.write(dumps(value, indent=2) + "\n")


def _ports(words: list[str]) -> dict[str, int]:
    named = {}
    for word in words:
        service, _, port = word.partition("=")
        if not port.isdigit():
            raise Misuse(f"--port {word}: write SERVICE=PORT, such as postgres=5432")
        named[service] = int(port)
    return named
