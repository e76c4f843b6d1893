"""Starts Dagster's processes again that have ended by themselves: each on its port, later and later."""

import time
from collections.abc import Callable, Mapping

import msgspec

from orchestration.local.server import Server, again, is_alive
from orchestration.local.storage import fail_orphaned_runs, storage_answers

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
LONG_ENOUGH_S = 60.0
"""After a life this long, a process's earlier deaths no longer count."""
_ASK_AGAIN_S = 10.0
Say = Callable[[str], None]


class Supervisor:
    """Keeps the processes of `servers` running; the list always holds the present ones.

    Promises
    - A process that ends is started again after a pause that doubles with each death in a row, on the port that the
      workspace names: webserver and daemon find it there. No other process is touched.
    - Runs that a code server started go on without it. Once the last of them has ended, those without a result are
      failed, as nothing else would end them.
    - `look` waits for nothing but Dagster's database, and for that 3 s at most.
    """

    def __init__(
        self, servers: list[Server], dagster: Mapping[str, str], say: Say, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._servers, self._dagster, self._say, self._clock = servers, dagster, say, clock
        self._lives = {server.name: _Life(started_s=clock()) for server in servers}
        self._left: list[Server] = []
        self._ask_at_s = 0.0

    @property
    def left(self) -> list[Server]:
        """Processes that have ended and whose runs may still work."""
        return self._left

    def look(self) -> None:
        """Notice what has ended, and start what is due. To be called once a second, by the thread that started them:
        the kernel ends a process with the thread that it was started by.
        """
        for place, server in enumerate(self._servers):
            life = self._lives[server.name]
            if life.starts_at_s is None and server.has_ended():
                self._mourn(server, life)
            elif life.starts_at_s is not None and self._clock() >= life.starts_at_s:
                self._start(place, server, life)
        self._fail_what_died()

    def _mourn(self, server: Server, life: "_Life") -> None:
        now = self._clock()
        life.deaths = 1 if now - life.started_s > LONG_ENOUGH_S else life.deaths + 1
        pause = pause_s(life.deaths)
        life.starts_at_s = now + pause
        self._left.append(server)
        self._say(
            f"{server.name} ended by itself with {server.process.returncode}; it is started again in {pause:.0f} s "
            f"(its log is {server.log})"
        )

    def _start(self, place: int, server: Server, life: "_Life") -> None:
        life.started_s, life.starts_at_s = self._clock(), None
        try:
            self._servers[place] = again(server)
        except OSError as error:
            life.deaths += 1
            life.starts_at_s = self._clock() + pause_s(life.deaths)
            self._say(f"{server.name} could not be started: {error.strerror}")
            return
        self._say(f"{server.name} was started again")

    def _fail_what_died(self) -> None:
        gone = [server for server in self._left if not is_alive(server)] if self._left else []
        if not gone or self._clock() < self._ask_at_s:
            return
        if not storage_answers(self._dagster):
            self._ask_at_s = self._clock() + _ASK_AGAIN_S
            return
        fail_orphaned_runs(self._dagster, daemon_runs=True)
        self._left[:] = [server for server in self._left if server not in gone]


class _Life(msgspec.Struct):
    """How long a process has run, how often it died in a row, and when it is started again, if it has ended."""

    started_s: float
    deaths: int = 0
    starts_at_s: float | None = None


def pause_s(deaths: int) -> float:
    """Before a process is started again that died so often in a row."""
    return min(FIRST_PAUSE_S * 2.0 ** min(deaths - 1, 16), LONGEST_PAUSE_S)
