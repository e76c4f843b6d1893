"""The project's own part of the package: rooms lake and contracts, the region table, the compiled rules of motion."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from contracts.errors import FleetlakeError
from contracts.regions import default_regions_file, load_regions
from lake.package.archive import Content

ROOMS = ("contracts", "lake")
_ADDRESS = re.compile(rb"(?<= at 0x)[0-9a-f]{12}(?=>)")
"""Where a function was in the memory of the process that compiled: numba keeps it in its notes, nothing reads it."""


def rooms(project: Path) -> Content:
    """The rooms' files and regions.toml, by their name below the project. Raises BadRegionTable."""
    regions = default_regions_file()
    load_regions(regions)
    found: dict[str, Path | bytes] = {"regions.toml": regions.read_bytes()}
    for room in ROOMS:
        for path in sorted((project / room).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                found[path.relative_to(project).as_posix()] = path
    return found


def compiled_rules(project: Path) -> Content:
    """The machine code of the rules of motion for any processor of this architecture, beside the rules.

    Made by a process of its own: numba settles on a processor with its first function.
    """
    with tempfile.TemporaryDirectory(prefix="fleetlake-rules-") as folder:
        made = Path(folder)
        environment = os.environ | {"NUMBA_CACHE_DIR": folder, "PYTHONHASHSEED": "0", "PYTHONPATH": str(project)}
        words = [sys.executable, "-m", "lake.derive.motion.compile_rules", "--generic"]
        done = subprocess.run(words, cwd=project, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise FleetlakeError(f"the rules of motion do not compile: {done.stderr.strip()[-500:]}")
        beside = "lake/derive/motion/__pycache__"
        return {
            f"{beside}/{path.relative_to(made).as_posix()}": _ADDRESS.sub(b"0" * 12, path.read_bytes())
            for path in sorted(made.rglob("*"))
            if path.is_file()
        }
