"""The gateway's Prometheus metrics. Their names are stable: dashboards and alarms rely on them."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """One process's metrics, in a registry of their own."""

    def __init__(self, region: str = "", process: str = "") -> None:
        self.registry = CollectorRegistry()
        self.process = self._gauge("process", "1; who this process is.", "region", "process")
        self.process.labels(region, process).set(1)
        self._received: dict[str, tuple[Counter, Counter]] = {}
        """Children of the counters of messages, looked up once."""
        self._define_connections()
        self._define_messages()

    def _define_connections(self) -> None:
        self.connections = self._gauge("connections", "Open connections.", "protocol")
        self.sessions = self._gauge("sessions", "Devices with a session.")
        self.handshakes = self._counter("handshakes_total", "TLS handshakes by how they ended.", "outcome")
        self.handshake_seconds = self._histogram("handshake_seconds", "From accept to the end of the handshake.")
        self.turned_away = self._counter("turned_away_total", "Connections refused before TLS.", "reason")
        self.connects = self._counter("connects_total", "CONNECTs by how they were answered.", "outcome")
        self.ended = self._counter("sessions_ended_total", "Sessions by why they ended.", "reason")

    def _define_messages(self) -> None:
        self.messages = self._counter("messages_total", "Messages received.", "protocol")
        self.bytes = self._counter("message_bytes_total", "Payload received.", "protocol")
        self.acknowledged = self._counter("acknowledged_total", "User records acknowledged: they are on the stream.")
        self.unacknowledged = self._counter("qos0_total", "User records of QoS 0 on the stream.")
        self.refused = self._counter("refused_total", "Connections, requests and messages refused.", "reason")
        self.acknowledge_seconds = self._histogram("acknowledge_seconds", "From a message to its acknowledgement.")
        self.held = self._gauge("held_bytes", "Payload without an answer.")
        self.held_limit = self._gauge("held_limit_bytes", "Where reading pauses.")
        self.paused = self._counter("reading_paused_total", "Times that a connection was not read on.", "reason")
        self.stream_down = self._gauge("stream_down_seconds", "For how long the stream has taken nothing; 0 is up.")
        self.registry_away = self._gauge("registry_away", "1 while Postgres does not answer.")

    def message(self, protocol: str, size: int) -> None:
        """Count a message that was received."""
        counters = self._received.get(protocol)
        if counters is None:
            counters = self._received[protocol] = self.messages.labels(protocol), self.bytes.labels(protocol)
        counters[0].inc()
        counters[1].inc(size)

    def page(self) -> bytes:
        """The page that Prometheus scrapes."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"fleetlake_gateway_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"fleetlake_gateway_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"fleetlake_gateway_{name}", text, buckets=_SECONDS, registry=self.registry)
