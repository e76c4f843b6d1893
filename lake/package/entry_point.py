"""Starts a job of Fleetlake from its package: the file that a cluster is told to run.

The cluster unpacks two archives beside it, or into the folder where it starts: `rooms` and `dependencies`. They come
before whatever Python packages the cluster has; pyspark is the cluster's.
"""

import json
import platform
import sys
from pathlib import Path


def package_folder() -> Path:
    """Where the two archives are unpacked."""
    for folder in (Path.cwd(), Path(__file__).resolve().parent):
        if (folder / "rooms").is_dir() and (folder / "dependencies").is_dir():
            return folder
    sys.exit(f"fleetlake: no folders rooms and dependencies in {Path.cwd()}; give the job both archives of its package")


def check_python(folder: Path) -> None:
    """The dependencies hold machine code for one version of Python, on one kind of machine."""
    made_for = json.loads((folder / "rooms" / "package.json").read_text(encoding="utf-8"))
    here = {"python": f"{sys.version_info[0]}.{sys.version_info[1]}", "machine": platform.machine()}
    for name, value in here.items():
        if made_for[name] != value:
            sys.exit(
                f"fleetlake: the package is for {name} {made_for[name]}, this is {value}; set FLEETLAKE_EMR_PYTHON to "
                f"such a Python of the image, or make the package with {value}"
            )


def main() -> int:
    """Run the job of the command line."""
    folder = package_folder()
    check_python(folder)
    sys.path[:0] = [str(folder / "rooms"), str(folder / "dependencies")]
    from lake.main import main as run_job

    return run_job()


if __name__ == "__main__":
    sys.exit(main())
