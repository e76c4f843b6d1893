"""`fleetlake docs`: dbt's docs of a region's marts, in a browser, until Ctrl-C."""

from typing import Annotated

import typer

from cli.ending import end_event
from cli.environment import enter_region, state_folder
from contracts.errors import PortTaken
from contracts.regions import WORLD


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("docs")(_docs)


def _docs(
    region: Annotated[str, typer.Option(help="A region of regions.toml, or 'world'.")],
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port of the page; a free one by default.")
    ] = None,
) -> None:
    """Generate dbt's docs of the marts (columns, units, tests, lineage) and serve them on 127.0.0.1 until Ctrl-C."""
    enter_region(region)
    from bi import docs
    from contracts.settings import RegionSettings, WorldSettings

    settings = WorldSettings.load() if region == WORLD else RegionSettings.load()
    folder = state_folder() / "dbt-docs" / region
    typer.echo(f"generating the docs of {region}", err=True)
    docs.generate(settings, folder.resolve())
    ended = end_event()
    try:
        with docs.serving(folder, port) as address:
            typer.echo(f"The docs of {region} are at {address}  (Ctrl-C ends it)")
            ended.wait()
    except OSError as error:
        raise PortTaken(f"port {port} cannot be used: {error.strerror}; name another, or leave it out") from None
