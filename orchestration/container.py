"""The first process of a Dagster task: writes DAGSTER_HOME and becomes web server, daemon or code server."""

import os
import sys

from contracts.errors import FleetlakeError
from orchestration.local.dagster_home import prepare_home


def main(command: list[str]) -> None:
    """Become the command, with what every process of Dagster needs in its environment."""
    try:
        environment = {**os.environ, **prepare_home(os.environ)}
    except FleetlakeError as error:
        sys.stderr.write(f"fleetlake: {error}\n")
        sys.exit(error.exit_code)
    os.execvpe(command[0], command, environment)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
