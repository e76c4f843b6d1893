"""One `up` or `down` at a time in a state folder."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from contracts.errors import StackDown
from stack.layout import Layout

WAIT_S = 180.0
_POLL_S = 0.1


@contextmanager
def exclusive(layout: Layout, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the folder's lock, waiting for another holder. The kernel releases it when the holder dies.

    Raises StackDown where another `up` or `down` still holds it after `wait_s` seconds.
    """
    with layout.lock.open("a") as file:
        deadline = time.monotonic() + wait_s
        while not _taken(file.fileno()):
            if time.monotonic() > deadline:
                raise StackDown(
                    f"another `fleetlake up` or `down` has held {layout.lock} for {wait_s:.0f} s; end it first"
                )
            time.sleep(_POLL_S)
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
