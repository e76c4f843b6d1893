"""`fleetlake shell`: runs any program as a process of one region."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.environment import enter_region
from contracts.errors import Misuse
from contracts.regions import WORLD


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("shell", context_settings={"allow_interspersed_args": False})(_shell)


def _shell(
    region: Annotated[str, typer.Option(help="A region of regions.toml, or 'world'.")],
    command: Annotated[
        list[str] | None, typer.Argument(help="A program and its words; your shell where there is none.")
    ] = None,
) -> None:
    """Run a program with a region's environment and credentials, and no other's; dbt and psql are on its PATH."""
    enter_region(region)
    words = command or [os.environ.get("SHELL") or "/bin/sh"]
    if not command and sys.stdin.isatty():
        typer.echo(f"fleetlake: a shell of region {region}; exit leaves it", err=True)
    sys.stdout.flush()
    try:
        os.execvpe(words[0], words, os.environ | _environment(region))  # noqa: S606
    except OSError as error:
        raise Misuse(f"cannot run {words[0]!r}: {error.strerror}") from None


def _environment(region: str) -> dict[str, str]:
    """Variables for dbt, with a target folder beside the prepared manifest, and a PATH with dbt and psql."""
    from contracts.settings import RegionSettings, WorldSettings
    from marts.dbt import PROJECT, dbt_environment, target, target_path
    from stack.services.postgres import programs

    settings = WorldSettings.load() if region == WORLD else RegionSettings.load()
    folder = str(PROJECT / target_path("by-hand") / region)
    path = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), str(programs())]
    return dbt_environment(settings) | {
        "DBT_TARGET": target(region),
        "DBT_TARGET_PATH": folder,
        "DBT_LOG_PATH": folder,
        "PATH": os.pathsep.join(path),
    }
