"""A fleet's way to the gateway, for a caller without an event loop: the form of a Producer, a connection a device."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Literal, Self

from contracts.errors import StoreUnavailable
from gateway.uplink.http import HttpLine
from gateway.uplink.line import Answers, Endpoint, Habits, Line
from gateway.uplink.mqtt import MqttLine
from producer import ProducerReport

Via = Literal["mqtt", "http"]
MOST_HELD_BYTES = 16 * 1024 * 1024
_LINES: dict[Via, type[Line]] = {"mqtt": MqttLine, "http": HttpLine}


class Uplink:
    """Sends records to the gateway, each by its own device.

    Promises
    - After `flush` every record was acknowledged, or refused for good (`answers` says which). StoreUnavailable is
      raised where nothing was answered for `silent_s`.
    - `put` blocks while MOST_HELD_BYTES are without an answer.
    """

    def __init__(
        self,
        via: Via,
        endpoint: Endpoint,
        credentials: Callable[[str], ssl.SSLContext],
        *,
        silent_s: float = 60.0,
        habits: Habits | None = None,
    ) -> None:
        """credentials: a device's client TLS. The event loop runs in a thread until the `with` block ends."""
        self.report = ProducerReport()
        self.answers = Answers()
        self._make, self._endpoint, self._credentials = _LINES[via], endpoint, credentials
        self._silent_s, self._habits = silent_s, habits or Habits()
        self._lines: dict[str, Line] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = threading.Condition()
        self._held_records = self._held_bytes = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="uplink")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.flush()
        finally:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    def put(self, records: Iterable[tuple[str, bytes]]) -> None:
        """Send (device id, record) pairs; each device's in order."""
        by_device: dict[str, list[bytes]] = {}
        count = size = 0
        for device_id, record in records:
            by_device.setdefault(device_id, []).append(record)
            count, size = count + 1, size + len(record)
        with self._changed:
            self._held_records += count
            self._held_bytes += size
        self.report.records += count
        self.report.bytes += size
        self._loop.call_soon_threadsafe(self._take, by_device)
        self._wait(lambda: self._held_bytes <= MOST_HELD_BYTES)

    def flush(self) -> None:
        """Wait until every record is answered."""
        self._wait(lambda: not self._held_records)
        self.report.calls = self.answers.messages
        self.report.failed_calls = self.answers.reconnects

    def _take(self, by_device: dict[str, list[bytes]]) -> None:
        for device_id, records in by_device.items():
            line = self._lines.get(device_id)
            if line is None:
                tls = self._credentials(device_id)
                line = self._make(device_id, self._endpoint, tls, self.answers, self._settled, self._habits)
                self._lines[device_id] = line
                self._tasks.append(self._loop.create_task(line.run()))
            line.add(records)

    def _settled(self, records: int, size: int) -> None:
        with self._changed:
            self._held_records -= records
            self._held_bytes -= size
            self._changed.notify_all()

    def _wait(self, done: Callable[[], bool]) -> None:
        with self._changed:
            while not done():
                before = self._held_records
                if not self._changed.wait(self._silent_s) and self._held_records == before:
                    refused = ", ".join(self.answers.refused) or "no answer"
                    where = f"{self._endpoint.host}:{self._endpoint.port}"
                    raise StoreUnavailable(
                        f"the gateway at {where} acknowledged nothing for {self._silent_s:.0f} s ({refused}); "
                        "fleetlake gateway starts one"
                    )

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
