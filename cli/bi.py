"""`fleetlake bi up` and `down`: Apache Superset of one region, with ready dashboards."""

import json
from typing import Annotated

import typer

from cli.environment import ALL, each_region, state_folder
from contracts.regions import WORLD

_Json = Annotated[bool, typer.Option("--json", help="Print a document instead of text.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Apache Superset on this machine, with dashboards over the marts.")
    group.command("up")(_up)
    group.command("down")(_down)
    app.add_typer(group, name="bi")


def _up(
    region: Annotated[
        str | None, typer.Option(help="A region of regions.toml; the first of it where none is named.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Port; that of the last time by default.")] = None,
    as_json: _Json = False,
) -> None:
    """Start a region's Superset on 127.0.0.1, or bring the dashboards of a running one up to date.

    It reads the region's marts and the world's as their BI readers, and knows no other region's password.
    """
    import msgspec

    import stack
    from bi import server
    from stack.environments import bi_dsn

    name = _region(region)
    site = stack.running_site(state_folder())
    dsns = {one: bi_dsn(site, one) for one in (name, WORLD)}
    if not as_json:
        typer.echo(f"starting Superset of region {name} (some 20 s, the first time more)", err=True)
    desk = server.up(state_folder(), name, dsns, port)
    if as_json:
        typer.echo(msgspec.json.encode(desk).decode())
        return
    typer.echo(f"Superset of region {name} is at {desk.url}")
    typer.echo(f"user {desk.user}, its password is in {desk.password_file}")
    for title, address in desk.dashboards.items():
        typer.echo(f"  {title:<24} {address}")


def _down(
    region: Annotated[str | None, typer.Option(help="A region; every region's where none is named.")] = None,
    as_json: _Json = False,
) -> None:
    """Stop Superset. What was changed in it stays in the state folder."""
    from bi import server

    state = state_folder()
    names = [_region(region)] if region else server.regions_up(state)
    stopped = [name for name in names if server.down(state, name)]
    typer.echo(json.dumps({"stopped": stopped}) if as_json else f"down: {', '.join(stopped) or 'nothing was up'}")


def _region(name: str | None) -> str:
    return each_region(name or ALL)[0]
