"""The `fleetlake` command. Each command is a short module that calls a room."""

import os
import sys
from importlib import import_module
from typing import NoReturn

import typer

from cli.environment import stack_is_local
from contracts.errors import FleetlakeError, StoreUnavailable
from contracts.outages import store_of

COMMANDS = (
    "stack",
    "simulate",
    "replay",
    "consume",
    "top",
    "replay_rejected",
    "rebuild_live",
    "process",
    "shell",
    "reconcile",
    "trail",
    "bench",
    "demo.command",
    "ui",
)
"""Modules of cli/ that add their commands, in the order of the help text."""

LOCAL_HINT = "; `fleetlake status` shows what runs, `fleetlake up` starts what does not"
"""Added to an error of a store that does not answer, where the stores are this machine's embedded stack."""

app = typer.Typer(
    name="fleetlake",
    help="Telemetry of connected machines, one jurisdiction at a time: live, whole past, marts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def main() -> None:
    """Run the command line: exit 0 done, 1 failed, 2 misused."""
    for name in COMMANDS:
        import_module(f"cli.{name}").add_to(app)
    try:
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


if __name__ == "__main__":
    main()
