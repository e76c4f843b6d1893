"""The first process of a task: checks where it is, writes the files that settings name, and becomes the role's process.

python -m deploy.container fleetlake consume --region eu
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from contracts.errors import BadSettings, FleetlakeError
from contracts.regions import WORLD, find_region
from contracts.settings import PREFIX

_PEM = "_PEM"
_FILES = ("FLEETLAKE_GATEWAY_CERTIFICATE", "FLEETLAKE_GATEWAY_KEY")
NEITHER = ("dagster-webserver", "dagster-daemon")
"""Processes that hold nothing of a region, and so are of none."""


def check_place(environment: Mapping[str, str], command: Sequence[str]) -> None:
    """A process knows its region, and AWS's clients know the same one: none falls back to a default.

    Raises BadSettings or UnknownRegion.
    """
    if not environment.get("AWS_REGION"):
        raise BadSettings("AWS_REGION is not set: no client of AWS may choose a region by itself; set it")
    if any(word in NEITHER for word in command):
        return
    name = environment.get(f"{PREFIX}REGION")
    if not name:
        raise BadSettings(f"{PREFIX}REGION is not set: this process is of no region; set it")
    own = environment.get(f"{PREFIX}AWS_REGION") if name == WORLD else find_region(name).aws_region
    if not own:
        raise BadSettings(f"{PREFIX}AWS_REGION is not set: nothing says where the exchange is; set it")
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        if environment.get(variable, own) != own:
            raise BadSettings(f"{variable} is {environment[variable]}, but {name} is in {own}; set it to that")


def with_files(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment with each NAME_PEM written to a file that only this user may read, and NAME as its path."""
    kept = dict(environment)
    for name in _FILES:
        text = kept.pop(name + _PEM, None)
        if text is None:
            continue
        path = folder / name.removeprefix(PREFIX).lower().replace("_", "-")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        kept[name] = str(path)
    return kept


def main(command: Sequence[str]) -> None:
    """Become the command, or end with 2 and the reason."""
    try:
        if not command:
            raise BadSettings("no command; give one, such as fleetlake consume --region eu")
        check_place(os.environ, command)
        environment = with_files(os.environ, Path(os.environ.get(f"{PREFIX}STATE", ".")))
    except FleetlakeError as error:
        sys.stderr.write(f"fleetlake: {error}\n")
        sys.exit(error.exit_code)
    os.execvpe(command[0], list(command), environment)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
