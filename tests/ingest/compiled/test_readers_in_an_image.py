"""A consumer with its package on a read-only file system compiles nothing; with msgspec alone it loads no numba."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROOMS = ("contracts", "ingest", "producer")
_CONSUME = """
import asyncio, time
from numba.core import compiler

def compiled(*_, **__):
    raise SystemExit("compiled")

compiler.compile_extra = compiled

from ingest.compile_readers import compile_readers
from ingest.decode import JsonDecoder
from ingest.kinesis.memory import MemoryStream
from ingest.kinesis.packed import packed
from ingest.landing import MemoryStore
from ingest.leases.memory import MemoryLeases
from ingest.worker import Options, Parts, Worker
from ingest.compiled.record import read

compile_readers()
now_ms = lambda: int(time.time() * 1000)
stream = MemoryStream(1, now_ms=now_ms)
for number in range(100):
    stream.put("d", b'{"device_id": "d%d", "ts": %d, "lat": 50.5, "signals": {"a": 1}}' % (number, now_ms()))


async def consumed():
    parts = Parts(stream=stream, leases=MemoryLeases(), store=MemoryStore(), live=None, decoder=JsonDecoder())
    return await Worker(parts, Options(until_idle=True), "image").run()

report = asyncio.run(consumed())
body = b'{"Records":[{"SequenceNumber":"1","ApproximateArrivalTimestamp":1.5,"Data":"e30=","PartitionKey":"k"}]}'
assert report.landed == 100 and packed(body) is not None
print(read.stats.cache_path)
"""
_REGION = {
    "FLEETLAKE_REGION": "eu",
    "AWS_ACCESS_KEY_ID": "k",
    "AWS_SECRET_ACCESS_KEY": "s",
    "FLEETLAKE_REDIS_URL": "redis://eu:x@127.0.0.1:1/0",
    "FLEETLAKE_POSTGRES_DSN": "postgresql://127.0.0.1:1/fleet_eu",
    "FLEETLAKE_PRIVACY_DSN": "postgresql://127.0.0.1:1/privacy_eu",
    "FLEETLAKE_RELEASE_KEY": "x",
    "FLEETLAKE_REGIONS_FILE": str(ROOT / "regions.toml"),
}
_MSGSPEC = """
import os, sys
sys.modules["numba"] = sys.modules["llvmlite"] = None
from contracts.settings import RegionSettings
from ingest.batch import KinesisRecord
from ingest.service.consume import consume
from ingest.service.one_worker import parts_of
from ingest.runtime.metrics import Metrics
import asyncio

async def main():
    parts = parts_of(RegionSettings.load(), Metrics())
    record = KinesisRecord.at(1_790_000_000_000, "1", "k", b'{"device_id": "d", "ts": 1789999999000, "lat": 1}')
    assert parts.decoder.decode("s", [record]).rows.num_rows == 1

asyncio.run(main())
"""


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    """A copy of the consumer's rooms without machine code, to be made read-only."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / "package" / room, ignore=shutil.ignore_patterns("__pycache__"))
    yield tmp_path / "package"
    _may_write(tmp_path / "package", True)


def _may_write(folder: Path, may: bool) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200 if may else path.stat().st_mode & ~0o222)


def _run(words: list[str], package: Path, tmp_path: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run Python on that package; root is held to the files' permissions as everyone else is."""
    held = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if held and shutil.which("setpriv") is None:
        pytest.skip("root can write anything without setpriv")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "FLEETLAKE_"))}
    own = {"PYTHONPATH": str(package), "XDG_CACHE_HOME": "/proc/no-cache", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [*held, sys.executable, *words],
        env=kept | own | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )


@pytest.fixture(scope="module")
def generic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Code for any processor, in a folder of the name that it has to have."""
    folder = tmp_path_factory.mktemp("generic")
    made = _run(["-m", "ingest.compile_readers", "--generic"], ROOT, folder, NUMBA_CACHE_DIR=str(folder / "cache"))
    assert made.returncode == 0, made.stderr
    (found,) = (folder / "cache").iterdir()
    return found


@pytest.fixture(scope="module")
def own() -> Path:
    """Code for this processor, as `make install` leaves it."""
    from ingest.compile_readers import compile_readers
    from ingest.compiled.record import read

    compile_readers()
    return Path(read.stats.cache_path)  # type: ignore[attr-defined]


def test_code_for_any_processor_serves_a_read_only_package(package: Path, generic: Path, tmp_path: Path) -> None:
    shutil.copytree(generic, package / "ingest" / "compiled" / "__pycache__" / generic.name)
    before = sorted(package.rglob("*"))
    _may_write(package, False)
    consumed = _run(["-c", _CONSUME], package, tmp_path)
    assert consumed.returncode == 0, consumed.stderr
    assert consumed.stdout.splitlines()[-1].endswith("-generic")
    assert sorted(package.rglob("*")) == before


def test_code_for_this_processor_comes_before_the_generic(
    package: Path, generic: Path, own: Path, tmp_path: Path
) -> None:
    for folder in (generic, own):
        shutil.copytree(folder, tmp_path / "cache" / folder.name)
    for folder in (package, tmp_path / "cache"):
        _may_write(folder, False)
    consumed = _run(["-c", _CONSUME], package, tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    _may_write(tmp_path / "cache", True)
    assert consumed.returncode == 0, consumed.stderr
    assert consumed.stdout.splitlines()[-1] == str(tmp_path / "cache" / own.name)


def test_code_of_another_processor_is_not_used(package: Path, own: Path, tmp_path: Path) -> None:
    other = own.name.rpartition("-")[0] + "-0badcafe"
    shutil.copytree(own, package / "ingest" / "compiled" / "__pycache__" / other)
    _may_write(package, False)
    refused = _run(["-c", _CONSUME], package, tmp_path)
    assert (refused.returncode, refused.stderr.strip()) == (1, "compiled")


def test_a_consumer_that_reads_by_msgspec_alone_loads_no_numba(tmp_path: Path) -> None:
    ended = _run(["-c", _MSGSPEC], ROOT, tmp_path, **_REGION, FLEETLAKE_READER="msgspec")
    assert ended.returncode == 0, ended.stderr
