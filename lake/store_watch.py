"""Ends a command whose stores hang: no client library has a time-out for each call that it may make.

Beside the command a thread asks each store a small question every few seconds. A store that is silent is named at once,
and once it has been silent for its time-out the process ends. Every step may be killed at any moment and is taken up
again, so no more is lost than by Ctrl-C.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import psutil

from contracts.settings import RegionSettings, WorldSettings
from lake.stores import answers, questions_to

_FIRST_LOOK_S = 3.0
_LOOK_EVERY_S = 3.0
Say = Callable[[str], None]


@contextmanager
def ending_with_its_stores(
    settings: RegionSettings | WorldSettings, stores: tuple[str, ...], say: Say | None = None
) -> Iterator[None]:
    """While inside, the process ends with code 1 where one of these stores is silent for its time-out.

    say: prints a line for whoever waits; standard error by default.
    """
    watch = StoreWatch(
        questions_to(settings, stores), settings.region, settings.store_timeout_s, say or _to_stderr, _end_process
    )
    done = threading.Event()
    thread = threading.Thread(target=watch.run, args=(done,), daemon=True, name="stores")
    thread.start()
    try:
        yield
    except BaseException:
        done.set()
        raise
    done.set()
    thread.join()
    watch.tell_who_is_back()


class StoreWatch:
    """Asks the stores, tells which are silent, and calls `end` where one is so for its time-out."""

    def __init__(
        self,
        questions: Mapping[str, Callable[[], object]],
        region: str,
        timeout_s: float,
        say: Say,
        end: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._questions, self._region, self._timeout_s = questions, region, timeout_s
        self._say, self._end, self._clock = say, end, clock
        self._silent_since: dict[str, float] = {}

    def run(self, done: threading.Event) -> None:
        """Look until `done`."""
        pause = _FIRST_LOOK_S
        while not done.wait(pause):
            asked_at = self._clock()
            silent = self._silent()
            if done.is_set():
                return
            self.look(silent, asked_at)
            pause = _LOOK_EVERY_S

    def tell_who_is_back(self) -> None:
        """Ask the stores that were silent when the command ended: it can end between two looks."""
        if self._silent_since:
            self._tell_who_answers(self._silent())

    def look(self, silent: set[str], asked_at: float) -> None:
        """Tell what changed. `silent`: the stores that did not answer when they were asked at `asked_at`."""
        self._tell_who_answers(silent)
        for name in self._questions:
            if name not in silent:
                continue
            if name not in self._silent_since:
                self._silent_since[name] = asked_at
                self._say(f"{name} of region {self._region} does not answer; waiting for {self._timeout_s:.0f} s")
            elif self._clock() - self._silent_since[name] >= self._timeout_s:
                self._say(
                    f"fleetlake: {name} of region {self._region} has not answered for {self._timeout_s:.0f} s; "
                    "this command ends, and what it began is taken up by the next: run it again once the store "
                    "answers (`fleetlake status` shows what runs)"
                )
                self._end()
                return

    def _tell_who_answers(self, silent: set[str]) -> None:
        for name in set(self._silent_since) - silent:
            del self._silent_since[name]
            self._say(f"{name} of region {self._region} answers again")

    def _silent(self) -> set[str]:
        with ThreadPoolExecutor(max(len(self._questions), 1), thread_name_prefix="ask") as pool:
            found = pool.map(lambda name: answers(self._questions[name]), self._questions)
            return {name for name, answered in zip(self._questions, found, strict=True) if not answered}


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _end_process() -> None:
    """End now: the thread that waits for the store may wait in C, where no exception reaches it."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    os._exit(1)
