"""The `fleetlake` command. Each command is a short module that calls a room."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import typer

from cli.environment import stack_is_local
from cli.extras import naming_the_extra
from contracts.errors import FleetlakeError, StoreUnavailable
from contracts.outages import store_of

COMMANDS: dict[str, tuple[str, ...]] = {
    "stack": ("up", "down", "status"),
    "simulate": ("simulate",),
    "replay": ("replay",),
    "gateway": ("gateway",),
    "device": ("device",),
    "fleet": ("fleet",),
    "driver": ("driver",),
    "service": ("service",),
    "consume": ("consume",),
    "top": ("top",),
    "replay_rejected": ("replay-rejected",),
    "rebuild_live": ("rebuild-live",),
    "process": ("process",),
    "maintain": ("maintain",),
    "package": ("package",),
    "schema": ("schema",),
    "shell": ("shell",),
    "reconcile": ("reconcile",),
    "export": ("export",),
    "restrict": ("restrict", "rectify"),
    "retention": ("retention",),
    "erase": ("erase",),
    "requests": ("requests",),
    "processing": ("processing",),
    "audit": ("audit",),
    "residency": ("residency",),
    "trail": ("trail",),
    "serve": ("serve", "token"),
    "cost": ("cost",),
    "bench": ("bench",),
    "demo.command": ("demo",),
    "ui": ("ui",),
    "bi": ("bi",),
    "docs": ("docs",),
}
"""Modules of cli/ with the commands that they add, in the order of the help text."""

LOCAL_HINT = "; `fleetlake status` shows what runs, `fleetlake up` starts what does not"
"""Added to an error of a store that does not answer, where the stores are this machine's embedded stack."""

app = typer.Typer(
    name="fleetlake",
    help="Telemetry of connected machines, one jurisdiction at a time: live, whole past, marts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback()
def _commands() -> None:
    """Telemetry of connected machines, one jurisdiction at a time: live, whole past, marts."""


def main() -> None:
    """Run the command line: exit 0 done, 1 failed, 2 misused."""
    try:
        with naming_the_extra():
            for name in modules_of(sys.argv[1:]):
                import_module(f"cli.{name}").add_to(app)
            app()
    except FleetlakeError as error:
        _end(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if (store := store_of(error)) is None:
            raise
        region = os.environ.get("FLEETLAKE_REGION")
        _end(StoreUnavailable(f"{store}{f' of region {region}' if region else ''} does not answer"))


def _end(error: FleetlakeError) -> NoReturn:
    """Say the error in one line, with what to do where the stores are this machine's."""
    hint = LOCAL_HINT if isinstance(error, StoreUnavailable) and stack_is_local() else ""
    typer.secho(f"fleetlake: {error}{hint}", err=True, fg=typer.colors.RED)
    sys.exit(error.exit_code)


def modules_of(words: Sequence[str]) -> list[str]:
    """The modules to import for these words: that of the command, or all where the first word is none."""
    chosen = [module for module, commands in COMMANDS.items() if words and words[0] in commands]
    return chosen or list(COMMANDS)


if __name__ == "__main__":
    main()
