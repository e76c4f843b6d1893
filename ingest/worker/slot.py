"""A worker's name, which proves that earlier workers of the same slot have ended."""

import fcntl
import os
import socket
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Self

_SLOTS = 256
_PAGES = ".url"


class Slot:
    """A place for one worker on this machine, held by a lock that the kernel frees when its process dies.

    A worker's name is MACHINE.SLOT.LIFE. The holder of a slot's lock knows that every earlier worker of the slot has
    ended, so a restarted worker need not wait until its predecessor's leases expire. Slots of other machines or state
    folders have other names; a paused process keeps its lock.
    """

    def __init__(self, descriptor: int, name: str, pages: Path) -> None:
        self._descriptor = descriptor
        self._pages = pages
        self._name = name
        self.worker = f"{name}.{uuid.uuid4().hex[:8]}"

    @classmethod
    def claim(cls, state: Path, region: str) -> Self:
        """The first free slot of a region below a state folder of this machine."""
        folder = state / "workers"
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(_SLOTS):
            descriptor = os.open(folder / f"{region}-{number}", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            pages = folder / f"{region}-{number}{_PAGES}"
            return cls(descriptor, f"{socket.gethostname()}.{_mark(descriptor)}", pages)
        raise OSError(f"all {_SLOTS} worker slots of {region} in {folder} are taken")

    def is_dead(self, worker: str) -> bool:
        """Whether that worker is an earlier one of this slot."""
        return worker.rpartition(".")[0] == self._name and worker != self.worker

    def announce(self, url: str) -> None:
        """Publish the URL of this worker's pages to programs of this machine."""
        self._pages.write_text(url, encoding="utf-8")

    def free(self) -> None:
        """Release the slot."""
        self._pages.unlink(missing_ok=True)
        os.close(self._descriptor)


def announced(state: Path, region: str) -> list[str]:
    """The URLs of the pages of a region's workers on this machine, dead workers included."""
    found = []
    for path in sorted((state / "workers").glob(f"{region}-*{_PAGES}")):
        with suppress(FileNotFoundError):  # a worker that ends meanwhile takes it away
            found.append(path.read_text(encoding="utf-8"))
    return found


def _mark(descriptor: int) -> str:
    """The slot's unique mark, written once."""
    known = os.read(descriptor, 64).decode("ascii", "replace").strip()
    if known:
        return known
    fresh = uuid.uuid4().hex[:12]
    os.write(descriptor, fresh.encode())
    os.fsync(descriptor)
    return fresh
