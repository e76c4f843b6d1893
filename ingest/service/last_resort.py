"""A process that was asked to end ends, whatever hangs in it."""

import os
import threading

import structlog

_log = structlog.get_logger()


class LastResort:
    """Ends this process with exit code 1 where it still runs so long after `arm`.

    Nothing is lost by it: what is not in the ledger is read again, and the next life of the slot need not wait.
    """

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self._timer: threading.Timer | None = None

    def arm(self) -> None:
        """Begin to count, at the first call."""
        if self._timer is None:
            self._timer = threading.Timer(self._within_s, self._end)
            self._timer.daemon = True
            self._timer.start()

    def disarm(self) -> None:
        """It has ended by itself."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        _log.error("worker.not_ended", after_s=self._within_s)
        os._exit(1)
