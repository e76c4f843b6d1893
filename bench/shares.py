"""Gives processes a fixed share of a core each, to measure how work scales on a machine with few cores.

There the stores use the cores that a second process would need. Here each process runs in its own turn of a round and
is stopped in the others, so that at most one of them runs at a time, and the stores have the rest.
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
    """Run these processes, at most PARTS, a quarter of the time each, in turn, until the block ends."""
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
        _send(pid, signal.SIGSTOP)
    while not over.is_set():
        for turn in range(PARTS):
            if turn < len(pids):
                _send(pids[turn], signal.SIGCONT)
            over.wait(ROUND_S / PARTS)
            if turn < len(pids):
                _send(pids[turn], signal.SIGSTOP)
    for pid in pids:
        _send(pid, signal.SIGCONT)


def _send(pid: int, what: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, what)
