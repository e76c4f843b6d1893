"""The system user that runs Postgres where the caller is root: Postgres refuses to run as root."""

import fcntl
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from contracts.errors import ServiceFailed

USER = "fleetlake-pg"
_OTHERS_SEARCH = 0o001
_log = structlog.get_logger(__name__)


def server_user() -> int | None:
    """The user id to run Postgres as; None means the caller's own.

    Raises ServiceFailed where root cannot add the user.
    """
    if os.geteuid() != 0:
        return None
    with _one_at_a_time():
        try:
            return pwd.getpwnam(USER).pw_uid
        except KeyError:
            return _add_user()


def enter_folders(user: int, *folders: Path) -> None:
    """Let the user traverse the folders above these where it cannot yet, such as root's home.

    Only the search bit for others is set, so no folder becomes listable.
    """
    for folder in folders:
        for above in reversed(folder.resolve().parents):
            mode = above.stat()
            if mode.st_uid != user and not mode.st_mode & _OTHERS_SEARCH:
                _log.warning("postgres_passes_through", folder=str(above), user=USER, change="chmod o+x")
                above.chmod(mode.st_mode | _OTHERS_SEARCH)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Serialises stacks that start at once: of two concurrent useradd one fails, or both add the same name."""
    folder = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _add_user() -> int:
    if shutil.which("useradd"):
        arguments = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", USER]
    else:
        arguments = ["adduser", "-S", "-D", "-H", "-s", "/sbin/nologin", USER]
    try:
        done = subprocess.run(arguments, check=False, capture_output=True, text=True)
        return pwd.getpwnam(USER).pw_uid
    except FileNotFoundError:
        raise ServiceFailed(
            f"postgres needs a user of its own and neither useradd nor adduser is here; add {USER}"
        ) from None
    except KeyError:
        raise ServiceFailed(
            f"postgres needs a user of its own, and adding {USER} failed: {done.stderr.strip()}"
        ) from None
