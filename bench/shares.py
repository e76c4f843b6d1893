"""Processes that get a share of a core each, as if the machine had more of them: for how well work divides.

On a machine with few cores the stores take what a second process would need. Here each process runs in its own turn of
a round and stands still in the others, so that never more than one of them runs, and the stores have the rest.
"""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

ROUND_S = 0.04
PARTS = 4
"""Turns in a round: each process runs in one of them, a quarter of the time."""


@contextmanager
def quarter_each(pids: Sequence[int]) -> Iterator[None]:
    """Let these processes, at most PARTS, run a quarter of the time each, one after the other, until the block ends."""
    over = threading.Event()
    turns = threading.Thread(target=_take_turns, args=(pids, over), daemon=True)
    turns.start()
    try:
        yield
    finally:
        over.set()
        turns.join()


def _take_turns(pids: Sequence[int], over: threading.Event) -> None:
    for pid in pids:
        _tell(pid, signal.SIGSTOP)
    while not over.is_set():
        for turn in range(PARTS):
            if turn < len(pids):
                _tell(pids[turn], signal.SIGCONT)
            over.wait(ROUND_S / PARTS)
            if turn < len(pids):
                _tell(pids[turn], signal.SIGSTOP)
    for pid in pids:
        _tell(pid, signal.SIGCONT)


def _tell(pid: int, what: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, what)
