"""The tree of each role's image as a venv, its smoke test as a user without rights, its size and its start.

`make role-consumer` does one. It installs from the package registry, with the versions of requirements.lock, so `all`
leaves it out.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

import stack
from bench.one_region import REGION, stack_of_one_region
from bench.rows import Row
from contracts.ports import HOST, free_port

ROOT = Path(__file__).resolve().parents[1]
TREES = ROOT / "build" / "roles"
NOBODY = 65_534
_NOT_SOURCE = shutil.ignore_patterns(".git", ".venv*", ".*_cache", "__pycache__", "build", "*.egg-info")
_READY_WITHIN_S = 180.0
_OK, _UNAUTHORISED = 200, 401


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a role's tree weighs, and how its process started."""

    role: str
    mib: float
    ready_s: float
    resident_mib: float


class Smoke(msgspec.Struct, frozen=True, kw_only=True):
    """How a role is started and when it is ready. check: a request, and the status that it must have once ready."""

    command: Sequence[str]
    page: str
    port: int
    settings: Mapping[str, str]
    check: tuple[str, str, int] | None = None


def run() -> list[Row]:
    """Every role."""
    return [row for role in ROLES for row in rows(smoke(role))]


def rows(seen: Seen) -> list[Row]:
    """A role's figures."""
    figures = (("size", seen.mib, "MiB"), ("start to ready", seen.ready_s, "s"), ("memory", seen.resident_mib, "MiB"))
    return [
        Row(id=f"{seen.role}_{what.split()[0]}", what=f"{seen.role}: {what}", value=value, unit=unit)
        for what, value, unit in figures
    ]


def smoke(role: str) -> Seen:
    """Build the role's tree, start its process from it as a user without rights, and end it by SIGTERM.

    Raises AssertionError where it does not become ready, does not answer as it must, or does not end with 0.
    """
    tree = build(role)
    with stack_of_one_region() as state, tempfile.TemporaryDirectory(prefix="fleetlake-role-") as folder:
        own = Path(folder)
        own.chmod(0o777)
        how = ROLES[role](state)
        environment = _environment(state, own, tree, how)
        log = own / "log"
        began_s = time.monotonic()
        process = _start([str(tree / "bin" / "python"), "-m", "deploy.container", *how.command], environment, own, log)
        try:
            _until_ready(process, how, log)
            ready_s = time.monotonic() - began_s
            if how.check:
                _check(how)
            resident = sum(one.memory_info().rss for one in _family(process)) / 2**20
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(60)
        assert code in (0, -signal.SIGTERM), f"{role} ended with {code}: {log.read_text()[-1000:]}"
    return Seen(role=role, mib=_size(tree) / 2**20, ready_s=ready_s, resident_mib=resident)


def build(role: str) -> Path:
    """The venv that the image of the role holds: its extra, in the versions of the lock, and machine code."""
    tree = TREES / role
    tree.parent.mkdir(parents=True, exist_ok=True)
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line.removesuffix(" \\") for line in lines if line and not line.startswith((" ", "#"))]
    constraints = TREES / "constraints.txt"
    constraints.write_text("\n".join(pins) + "\n", encoding="utf-8")
    if not (tree / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(tree)], check=True)
    python = str(tree / "bin" / "python")
    install = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--constraint",
        str(constraints),
    ]
    if role == "orchestration":
        # dbt's project is no package: the whole source stays, and the distribution points to it.
        source = tree / "source"
        shutil.copytree(ROOT, source, ignore=_NOT_SOURCE, dirs_exist_ok=True)
        subprocess.run([*install, "--editable", f"{source}[{role}]"], check=True, cwd=TREES)
        subprocess.run([python, "-m", "marts.manifests"], check=True, cwd=source, stdout=subprocess.DEVNULL)
    else:
        subprocess.run([*install, f"{ROOT}[{role}]"], check=True, cwd=TREES)
    shutil.copy(ROOT / "regions.toml", tree)
    if role == "consumer":
        cache = {"NUMBA_CACHE_DIR": str(tree / "cache"), "PATH": os.environ["PATH"]}
        subprocess.run([python, "-m", "ingest.compile_readers", "--generic"], check=True, cwd=TREES, env=cache)
    return tree


def _environment(state: Path, own: Path, tree: Path, how: Smoke) -> dict[str, str]:
    """As the image's own and the task's: nothing of this shell but where programs are."""
    given = stack.region_environment(state, REGION, {})
    image = {"NUMBA_CACHE_DIR": str(tree / "cache"), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(own)}
    place = {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1", "FLEETLAKE_STATE": str(own)}
    return {**given, **image, **place, "PATH": f"{tree / 'bin'}:/usr/bin:/bin", **how.settings}


def _start(command: Sequence[str], environment: Mapping[str, str], own: Path, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as out:
        return subprocess.Popen([*_as_nobody(command[0]), *command], env=environment, cwd=own, stdout=out, stderr=out)


def _as_nobody(python: str) -> Sequence[str]:
    """What starts a command without root's rights. A Python below a closed folder, as /root, may still be read."""
    if os.geteuid():
        return ()
    reached = all(folder.stat().st_mode & 0o001 for folder in Path(python).resolve().parents)
    may_read = () if reached else ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    return ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *may_read)


def _until_ready(process: "subprocess.Popen[bytes]", how: Smoke, log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while not _is_ready(how):
        assert process.poll() is None, f"it ended with {process.returncode}: {log.read_text()[-1500:]}"
        assert time.monotonic() < deadline, f"not ready: {log.read_text()[-1500:]}"
        time.sleep(0.1)


def _is_ready(how: Smoke) -> bool:
    if not how.page:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, how.port)) == 0
    return _status("GET", f"http://{HOST}:{how.port}{how.page}") == _OK


def _check(how: Smoke) -> None:
    assert how.check is not None
    method, url, wanted = how.check
    assert _status(method, url) == wanted, f"{method} {url} is not answered with {wanted}"


def _status(method: str, url: str) -> int:
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _family(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    first = psutil.Process(process.pid)
    return [first, *first.children(recursive=True)]


def _size(tree: Path) -> int:
    return sum(file.stat().st_size for file in tree.rglob("*") if file.is_file() and not file.is_symlink())


def _gateway(_: Path) -> Smoke:
    port, free = free_port(), {f"FLEETLAKE_GATEWAY_{name}_PORT": "0" for name in ("MQTT", "HTTP")}
    files = _certificate()
    command = ("fleetlake", "gateway", "--region", REGION)
    return Smoke(
        command=command, page="/readyz", port=port, settings={"FLEETLAKE_METRICS_PORT": str(port), **free, **files}
    )


def _certificate() -> dict[str, str]:
    """A certificate as Secrets Manager would give it: text, which the task's first process writes to a file."""
    from gateway.identity.laptop import server_files

    with tempfile.TemporaryDirectory(prefix="fleetlake-role-") as folder:
        files = server_files(Path(folder))
        return {
            "FLEETLAKE_GATEWAY_CERTIFICATE_PEM": Path(files.certificate).read_text(encoding="utf-8"),
            "FLEETLAKE_GATEWAY_KEY_PEM": Path(files.key).read_text(encoding="utf-8"),
        }


def _consumer(_: Path) -> Smoke:
    port = free_port()
    command = ("fleetlake", "consume", "--region", REGION)
    return Smoke(command=command, page="/readyz", port=port, settings={"FLEETLAKE_METRICS_PORT": str(port)})


def _serving(_: Path) -> Smoke:
    from serving.access.laptop import key_set

    port, keys = free_port(), Path(tempfile.gettempdir()) / "fleetlake-role-keys.json"
    with tempfile.TemporaryDirectory(prefix="fleetlake-role-") as folder:
        keys.write_bytes(key_set(Path(folder)).read_bytes())
    keys.chmod(0o644)
    settings = {"FLEETLAKE_SERVING_PORT": str(port), "FLEETLAKE_SERVING_JWKS": str(keys)}
    check = ("GET", f"http://{HOST}:{port}/v1/devices", _UNAUTHORISED)
    command = ("fleetlake", "serve", "--region", REGION)
    return Smoke(command=command, page="/healthz", port=port, settings=settings, check=check)


def _orchestration(state: Path) -> Smoke:
    port = free_port()
    server = ("python", "-m", "dagster", "api", "grpc", "-m", "orchestration.location", "--host", HOST)
    command = ("python", "-m", "orchestration.container", *server, "--port", str(port))
    storage = stack.dagster_environment(state)["FLEETLAKE_DAGSTER_DSN"]
    settings = {"DAGSTER_HOME": "dagster", "FLEETLAKE_DAGSTER_DSN": storage}
    return Smoke(command=command, page="", port=port, settings=settings)


ROLES: Mapping[str, Callable[[Path], Smoke]] = {
    "gateway": _gateway,
    "consumer": _consumer,
    "serving": _serving,
    "orchestration": _orchestration,
}


def main() -> None:
    """Build and try one role; print its figures."""
    for row in rows(smoke(sys.argv[1])):
        print(f"{row.what:<32} {row.value:8,.1f} {row.unit}")


if __name__ == "__main__":
    main()
