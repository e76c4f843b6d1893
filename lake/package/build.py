"""Makes the package of Spark jobs: two archives, the jars, the entry point, and a manifest with the sha256 of each."""

import hashlib
import json
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from contracts.errors import Misuse
from lake.package.archive import Content, sha256_of, write_archive
from lake.package.dependencies import Dependency, dependencies
from lake.package.rooms import compiled_rules, rooms
from lake.spark.jars import COORDINATES, ON_EMR, file_name, jars

MANIFEST = "manifest.json"
PROJECT = Path(__file__).resolve().parents[2]


class PackagedFile(msgspec.Struct, frozen=True):
    """One file of the package."""

    name: str
    bytes: int
    sha256: str
    what: str


class Manifest(msgspec.Struct, frozen=True):
    """What a package holds. Equal content has an equal version, and equal bytes."""

    version: str
    python: str
    machine: str
    files: list[PackagedFile]
    dependencies: dict[str, str]
    """Versions by name, as requirements.lock pins them."""


def build(target: Path, project: Path = PROJECT) -> Manifest:
    """Make the package in folder `target`, which is made where missing; files of an earlier one are replaced.

    Takes everything from this machine: no network. Raises Misuse where what is installed is not what is pinned, or
    `target` holds something else.
    """
    _clear(target)
    needed = dependencies(project)
    made_for = {"python": f"{sys.version_info[0]}.{sys.version_info[1]}", "machine": platform.machine()}
    own = {**rooms(project), **compiled_rules(project), "package.json": json.dumps(made_for, sort_keys=True).encode()}
    write_archive(target / "dependencies.tar.gz", _files(needed), _digests(needed))
    write_archive(target / "rooms.tar.gz", own)
    shutil.copyfile(PROJECT / "lake" / "package" / "entry_point.py", target / "main.py")
    (target / "jars").mkdir()
    for coordinate, jar in zip(COORDINATES, jars(), strict=True):
        shutil.copyfile(jar, target / "jars" / file_name(coordinate))
    files = _described(target, needed, own)
    names = {one.name: one.version for one in needed}
    manifest = Manifest(_version(files), made_for["python"], made_for["machine"], files, names)
    text = json.dumps(msgspec.to_builtins(manifest), indent=2, sort_keys=True)
    (target / MANIFEST).write_text(f"{text}\n", encoding="utf-8")
    return manifest


def _clear(target: Path) -> None:
    if target.is_dir() and any(target.iterdir()) and not (target / MANIFEST).is_file():
        raise Misuse(f"{target} holds something that is no package; name an empty folder, or one that does not exist")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)


def _files(needed: Sequence[Dependency]) -> Content:
    return {name: path for one in needed for name, path in one.files.items()}


def _digests(needed: Sequence[Dependency]) -> dict[str, str]:
    return {name: digest for one in needed for name, digest in one.digests.items()}


def _described(target: Path, needed: Sequence[Dependency], own: Content) -> list[PackagedFile]:
    compiled = sum(name.endswith(".nbc") for name in own)
    what = {
        "main.py": "entry point",
        "dependencies.tar.gz": f"{len(needed)} Python distributions",
        "rooms.tar.gz": f"lake, contracts, regions.toml, {compiled} compiled rules",
    }
    for coordinate in COORDINATES:
        where = "" if coordinate in ON_EMR else ", for a Spark without S3A; EMR has its own"
        what[f"jars/{file_name(coordinate)}"] = f"jar{where}"
    return [
        PackagedFile(name, (target / name).stat().st_size, sha256_of(target / name), text)
        for name, text in what.items()
    ]


def _version(files: Sequence[PackagedFile]) -> str:
    """Names the content: the same files give the same version."""
    digest = hashlib.sha256("".join(f"{one.name} {one.sha256}\n" for one in files).encode())
    return digest.hexdigest()[:16]
