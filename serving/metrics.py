"""The service's Prometheus metrics. Their names are stable: dashboards and alarms rely on them.

Where several processes share the port, each writes its figures to files of one folder (PROMETHEUS_MULTIPROC_DIR), and
any of them answers for all.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """One process's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests_total", "Requests by path and status.", "path", "status")
        self.seconds = self._histogram("request_seconds", "From a request to the end of its answer.", "path")
        self.sent = self._counter("sent_bytes_total", "Bodies sent, streams included.")
        self.streams = self._gauge("streams", "Live streams open.", "livesum")
        self.pushed = self._counter("pushed_devices_total", "Devices sent by live streams.")
        self.refused = self._counter("refused_total", "Requests refused, by problem.", "problem")
        self.devices = self._gauge("devices", "Devices in the live table.", "livemax")
        self.behind = self._gauge("behind_seconds", "For how long the live table may have missed something.", "livemax")
        self.loads = self._counter("loads_total", "Times that the live table was loaded as a whole.")
        self.webhooks = self._counter("webhook_tries_total", "Tries to deliver to a webhook, by outcome.", "outcome")
        self.directory_age = self._gauge("directory_age_seconds", "Since the registry was read.", "livemax")

    def page(self) -> bytes:
        """The page that Prometheus scrapes: of all processes."""
        if not os.environ.get(FOLDER):
            return generate_latest(self.registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"fleetlake_serving_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, together: str, *labels: str) -> Gauge:
        mode = together
        return Gauge(f"fleetlake_serving_{name}", text, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"fleetlake_serving_{name}", text, labels, buckets=_SECONDS, registry=self.registry)
