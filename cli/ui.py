"""`fleetlake ui`: serves Dagster's web UI on the running stack until Ctrl-C."""

from typing import Annotated

import typer

from cli.ending import end_event
from cli.environment import ALL, each_region, state_folder
from contracts.regions import WORLD


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def ui(
        port: Annotated[
            int | None, typer.Option(min=1, max=65_535, help="Port of the web server; a free one by default.")
        ] = None,
    ) -> None:
        """Serve Dagster's UI: a code server a region with that region's environment, the web server and the daemon.

        The daemon launches the runs that are due while this is up. What ends by itself is started again. Ctrl-C ends
        all of it.
        """
        import stack
        from orchestration.local.dagster_home import prepare_home
        from orchestration.local.servers import serving

        state = state_folder()
        dagster = prepare_home(stack.dagster_environment(state))
        locations = {name: stack.region_environment(state, name) for name in each_region(ALL)}
        locations[WORLD] = stack.world_environment(state)
        logs = state / "logs" / "dagster"
        typer.echo(f"starting {len(locations)} code servers, the daemon and the web server (logs in {logs})")
        ended = end_event()
        with serving(locations, dagster, logs, port, say=typer.echo) as servers:
            typer.echo(f"Dagster is at {servers.url}  (Ctrl-C ends it)")
            while not ended.wait(1.0):
                servers.keep_running()
        typer.echo("ended")
