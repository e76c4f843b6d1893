"""dbt's manifests: one a region and one for world, since a manifest bakes in the name of its database.

`python -m marts.manifests` makes all of them, with no database and no secret: dbt only parses.
"""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from contracts.environment import inherited
from contracts.errors import FleetlakeError
from contracts.regions import WORLD, load_regions
from marts.dbt import PROJECT, manifest_path, parse_command

_SOURCES = ("*.sql", "*.yml", "*.yaml", "*.csv")


class DbtFailed(FleetlakeError):
    """dbt could not parse or build the project."""


def prepared(region: str) -> Path:
    """The region's manifest, made first where it is missing or older than the project.

    Raises DbtFailed where dbt cannot parse the project.
    """
    path = manifest_path(region)
    if not _is_fresh(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with (path.parent / "prepare.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_fresh(path):
                prepare(region)
    return path


def prepare(region: str) -> None:
    """Have dbt parse the project for one region. Raises DbtFailed."""
    command, variables = parse_command(region)
    environment = inherited(os.environ) | dict(variables)
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode or not manifest_path(region).exists():
        raise DbtFailed(f"dbt cannot parse {PROJECT} for {region}:\n{(done.stdout + done.stderr)[-2000:]}")
    manifest_path(region).touch()


def _is_fresh(path: Path) -> bool:
    if not path.exists():
        return False
    files = (file for pattern in _SOURCES for file in PROJECT.rglob(pattern))
    # A folder is younger than what was taken out of it.
    sources = (one for file in files for one in (file, file.parent) if one != PROJECT)
    kept = (one for one in {*sources} if one.relative_to(PROJECT).parts[0] != "target")
    return path.stat().st_mtime >= max((one.stat().st_mtime for one in kept), default=0.0)


def main() -> None:
    """Prepare every region's manifest and world's."""
    for name in [*load_regions(), WORLD]:
        prepare(name)
        sys.stdout.write(f"{manifest_path(name)}\n")


if __name__ == "__main__":
    main()
