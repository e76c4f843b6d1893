"""Apache Superset of one region on 127.0.0.1: starts it in its own venv, imports the dashboards, stops it."""

import json
import os
import secrets
import signal
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bi.bundle import Files, bundle, marts_in
from bi.dashboard import dashboards
from contracts.environment import inherited
from contracts.errors import FleetlakeError, Misuse, PortTaken
from contracts.logs import last_lines
from contracts.ports import HOST, free_port, is_free
from contracts.regions import WORLD
from marts.manifests import prepared
from stack import processes
from stack.private_files import read_json, write_json
from stack.processes import Command

ROOT: Path = Path(__file__).resolve().parent.parent
_CODE = Path(__file__).parent / "superset"
_START_S = 600.0
_POLL_S = 0.5
_STOP_S = 20.0


class SupersetFailed(FleetlakeError):
    """Superset could not be filled or did not start."""


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """A running Superset: where it is, and the file with its login."""

    region: str
    url: str
    user: str
    password_file: str
    dashboards: dict[str, str]
    """Address of each dashboard, by its title."""


class _Home:
    """The files of one region's Superset, below the stack's state folder."""

    def __init__(self, state: Path, region: str) -> None:
        self.folder = state.resolve() / "superset" / region
        self.login = self.folder / "login.json"
        self.record = self.folder / "process.json"
        self.log = self.folder / "superset.log"

    def make(self) -> dict[str, Any]:
        """The folder, only its owner's, with what is decided once: secret, password and port."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        kept = read_json(self.login) or {
            "user": "admin",
            "password": secrets.token_urlsafe(15),
            "secret_key": secrets.token_urlsafe(42),
        }
        write_json(self.login, kept)
        return dict(kept)


def superset_python() -> Path:
    """The Python that has Superset. Raises Misuse where there is none."""
    named = os.environ.get("FLEETLAKE_BI_PYTHON")
    python = Path(named) if named else ROOT / ".venv-bi" / "bin" / "python"
    if not python.exists():
        raise Misuse(f"no {python}: run 'make bi-venv', which installs Superset in a venv of its own")
    return python


def up(state: Path, region: str, dsns: Mapping[str, str], port: int | None = None) -> Desk:
    """Start the region's Superset, or bring a running one's dashboards up to date.

    dsns: the DSN of the BI reader by database, which are the region's own and world's; no other region's. port: where
    to listen; by default that of the last time if it is free. Raises Misuse where Superset is not installed, PortTaken,
    or SupersetFailed with the end of its log.
    """
    python = superset_python()
    home = _Home(state, region)
    kept = home.make()
    running = processes.find(home.record) is not None
    chosen = int(kept["port"]) if running else _port(port, kept.get("port"))
    write_json(home.login, kept | {"port": chosen})
    environment = _environment(home, region, kept)
    _provision(python, environment, import_files(dsns), home)
    if not running:
        _start(python, environment, chosen, home)
    return _desk(home, region, chosen, dsns)


def down(state: Path, region: str) -> bool:
    """Stop the region's Superset; its database stays. Whether it ran."""
    home = _Home(state, region)
    ran = processes.find(home.record) is not None
    processes.stop(home.record, signal.SIGTERM, _STOP_S)
    return ran


def regions_up(state: Path) -> list[str]:
    """Regions whose Superset was started and not stopped."""
    return sorted(record.parent.name for record in (state.resolve() / "superset").glob("*/process.json"))


def import_files(dsns: Mapping[str, str]) -> Files:
    """Superset's import files of these databases, each with the dashboards of its scope."""
    files: Files = {}
    for name, dsn in dsns.items():
        marts = marts_in(json.loads(prepared(name).read_bytes()))
        scope = WORLD if name == WORLD else "region"
        files |= bundle(name, dsn, marts, [one for one in dashboards() if one.scope == scope])
    return files


def _port(named: int | None, last: int | None) -> int:
    if named is not None:
        if not is_free(named):
            raise PortTaken(f"port {named} is in use on {HOST}; free it, name another, or leave it out")
        return named
    return last if last is not None and is_free(last) else free_port()


def _environment(home: _Home, region: str, kept: Mapping[str, Any]) -> dict[str, str]:
    """The whole environment of Superset's processes: no setting of any region."""
    return inherited(os.environ) | {
        "PYTHONPATH": "",
        "SUPERSET_HOME": str(home.folder),
        "SUPERSET_CONFIG_PATH": str(_CODE / "superset_config.py"),
        "FLASK_APP": "superset.app:create_app()",
        "FLEETLAKE_SUPERSET_SECRET_KEY": kept["secret_key"],
        "FLEETLAKE_SUPERSET_PASSWORD": kept["password"],
        "FLEETLAKE_SUPERSET_COOKIE": f"superset-{region}",
        "SCARF_ANALYTICS": "false",
    }


def _provision(python: Path, environment: Mapping[str, str], files: Files, home: _Home) -> None:
    """Superset's own database, the login and the dashboards. The files hold a password, so they go by a pipe."""
    command = [str(python), str(_CODE / "provision.py")]
    with home.log.open("ab") as log:
        done = subprocess.run(
            command, env=dict(environment), cwd=home.folder, input=json.dumps(files).encode(),
            stdout=log, stderr=log, check=False,
        )  # fmt: skip
    if done.returncode:
        raise SupersetFailed(
            f"Superset's database could not be filled (code {done.returncode}); {home.log} ends with\n"
            f"{last_lines(home.log)}"
        )


def _start(python: Path, environment: Mapping[str, str], port: int, home: _Home) -> None:
    """One process with threads: it serves the few people of one machine."""
    arguments = [
        *(str(python), "-m", "gunicorn", "superset.app:create_app()", "--bind", f"{HOST}:{port}"),
        *("--workers", "1", "--threads", "8", "--timeout", "300", "--no-control-socket"),
    ]
    processes.start(Command(arguments, environment, home.folder), home.log, home.record, digest="")
    deadline = time.monotonic() + _START_S
    while not _answers(port):
        if processes.find(home.record) is None or time.monotonic() > deadline:
            processes.stop(home.record, signal.SIGTERM, _STOP_S)
            raise SupersetFailed(f"Superset did not start; {home.log} ends with\n{last_lines(home.log)}")
        time.sleep(_POLL_S)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=10) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004
    except OSError:
        return False


def _desk(home: _Home, region: str, port: int, dsns: Mapping[str, str]) -> Desk:
    url = f"http://{HOST}:{port}"
    shown = {
        one.title: f"{url}/superset/dashboard/{one.slug if one.scope == WORLD else f'{region}-{one.slug}'}/"
        for one in dashboards()
        if one.scope == "region" or WORLD in dsns
    }
    return Desk(region=region, url=url, user="admin", password_file=str(home.login), dashboards=shown)
