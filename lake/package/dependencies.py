"""The distributions that jobs import: those of the extra `job`, with what they need, as requirements.lock pins them."""

import base64
import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from contracts.errors import Misuse

if TYPE_CHECKING:
    from packaging.requirements import Requirement

EXTRA = "job"
"""The extra of pyproject.toml that names what jobs import. pyspark is not in it: a cluster brings its own."""
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(?: *; *([^\\]+?))? *\\?$", re.MULTILINE)
_OF_THE_INSTALLER = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
_NOT_FOR_JOBS = ("numba/tests/", "numba/cuda/tests/", "pyarrow/tests/", "pyarrow/include/", "pyarrow/src/")
"""Tests and headers: some 25 MB."""


class Dependency(msgspec.Struct, frozen=True):
    """One distribution: its files by their name in site-packages, with the sha256 that its wheel recorded."""

    name: str
    version: str
    files: dict[str, Path]
    digests: dict[str, str]


def dependencies(project: Path) -> list[Dependency]:
    """All distributions of the extra, by name, from this Python's site-packages.

    project: folder of pyproject.toml and requirements.lock.
    Raises Misuse where one is absent, or in another version than the lock's.
    """
    pinned = _pinned(project / "requirements.lock")
    found: dict[str, Dependency] = {}
    for known in _closure(_roots(project / "pyproject.toml")):
        name = _normal(known.metadata["Name"])
        if pinned.get(name) != known.version:
            raise Misuse(
                f"{name} {known.version} is installed, requirements.lock has {pinned.get(name, 'none')}; "
                "run `make install` and package again"
            )
        found[name] = _dependency(name, known)
    return [found[name] for name in sorted(found)]


def _roots(pyproject: Path) -> "list[Requirement]":
    from packaging.requirements import Requirement

    extras = tomllib.loads(_text(pyproject))["project"]["optional-dependencies"]
    return [Requirement(text) for text in extras[EXTRA]]


def _closure(roots: "Iterable[Requirement]") -> list[Distribution]:
    from packaging.requirements import Requirement

    waiting = [(one, extra) for one in roots for extra in ("", *sorted(one.extras))]
    seen: set[tuple[str, str]] = set()
    found: dict[str, Distribution] = {}
    while waiting:
        wanted, extra = waiting.pop()
        name = _normal(wanted.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        found[name] = known = _installed(wanted.name)
        for text in known.requires or []:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(needed, further) for further in ("", *sorted(needed.extras))]
    return list(found.values())


def _installed(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError:
        raise Misuse(f"jobs import {name}, which is not installed here; run `make install` and package again") from None


def _pinned(lock: Path) -> dict[str, str]:
    from packaging.markers import Marker

    found = {}
    for name, version, marker in _PINNED.findall(_text(lock)):
        if not marker or Marker(marker).evaluate():
            found[_normal(name)] = version
    return found


def _dependency(name: str, known: Distribution) -> Dependency:
    files, digests = {}, {}
    for one in known.files or []:
        inside = one.as_posix()
        if ".." in one.parts or "__pycache__" in one.parts or inside.startswith(_NOT_FOR_JOBS):
            continue
        if one.parts[0].endswith(".dist-info") and one.name in _OF_THE_INSTALLER:
            continue
        files[inside] = Path(str(one.locate()))
        if one.hash is not None and one.hash.mode == "sha256":
            digests[inside] = base64.urlsafe_b64decode(one.hash.value + "=").hex()
    return Dependency(name, known.version, files, digests)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Misuse(f"no {path.name} at {path.parent}; package from a checkout of the project") from None
