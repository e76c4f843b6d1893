"""A process that has only what the base of the distribution brings: imports of anything else fail, in children too."""

import json
import os
import re
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
_BLOCKER = """
import json, os, sys

class Absent:
    absent = frozenset(json.loads(os.environ["ABSENT_MODULES"]))

    def find_spec(self, name, path=None, target=None):
        if path is None and name in self.absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Absent())
"""


def base_environment(folder: Path) -> dict[str, str]:
    """Variables for Python processes that are to be limited so; `folder` takes a file."""
    (folder / "sitecustomize.py").write_text(_BLOCKER, encoding="utf-8")
    path = os.pathsep.join([str(folder), str(ROOT)])
    return {"PYTHONPATH": path, "ABSENT_MODULES": json.dumps(sorted(_absent()))}


def base_distributions() -> set[str]:
    """Distributions that the base depends on, by way of others too."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    found: set[str] = set()
    left = [Requirement(text) for text in declared]
    while left:
        requirement = left.pop()
        name = _normal(requirement.name)
        extras = requirement.extras or {""}
        if not any(requirement.marker is None or requirement.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        try:
            texts = requires(requirement.name) or []
        except PackageNotFoundError:
            continue  # for another system or Python
        if name in found and not requirement.extras:
            continue
        found.add(name)
        for needed in map(Requirement, texts):
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                needed.marker = None
                left.append(needed)
    return found


def _absent() -> set[str]:
    """Modules that only other distributions of this environment bring."""
    base = base_distributions() | {"fleetlake"}
    found = packages_distributions().items()
    return {module for module, owners in found if not {_normal(owner) for owner in owners} & base}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
