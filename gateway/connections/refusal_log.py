"""Says why something was refused: a metric always, a log line rarely, and the device's last refusal for its owner."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog

from gateway.metrics import Metrics
from gateway.refusals import Refused

LINES_EVERY_S = 10.0
LINES_A_REASON = 5
"""Log lines of one reason in LINES_EVERY_S; the rest is counted."""
MOST_DEVICES = 10_000
_log = structlog.get_logger()


class RefusalLog:
    """One process's refusals."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._clock = clock
        self._window_s = clock()
        self._lines: Counter[str] = Counter()
        self._last: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def note(self, refused: Refused, protocol: str, device_id: str | None, source: str = "") -> None:
        """Count a refusal, log it within bounds, and keep it for the device where one is named."""
        label = refused.refusal.label
        self._metrics.refused.labels(label).inc()
        self.line("gateway.refused", label, detail=str(refused), protocol=protocol, source=source)
        if device_id is not None:
            self._keep(device_id, protocol, label, str(refused))

    def of_stream(self, refused: Refused) -> None:
        """Log, within bounds, that the stream will not have a message: that is no device's fault, and kept for none."""
        self.line("gateway.refused", refused.refusal.label, detail=str(refused))

    def line(self, event: str, reason: str, **fields: Any) -> None:
        """A log line, where the reason has not had its share."""
        now = self._clock()
        if now - self._window_s >= LINES_EVERY_S:
            for name, count in self._lines.items():
                if count > LINES_A_REASON:
                    _log.warning("gateway.refused_more", reason=name, times=count - LINES_A_REASON)
            self._lines.clear()
            self._window_s = now
        self._lines[reason] += 1
        if self._lines[reason] <= LINES_A_REASON:
            _log.warning(event, reason=reason, **fields)

    def take(self) -> list[dict[str, Any]]:
        """The devices' last refusals since the last call."""
        taken, self._last = list(self._last.values()), OrderedDict()
        return taken

    def _keep(self, device_id: str, protocol: str, reason: str, detail: str) -> None:
        before = self._last.pop(device_id, None)
        self._last[device_id] = {
            "device": device_id,
            "at": datetime.now(UTC),
            "protocol": protocol,
            "reason": reason,
            "detail": detail[:500],
            "count": 1 + (before["count"] if before else 0),
        }
        if len(self._last) > MOST_DEVICES:
            self._last.popitem(last=False)
