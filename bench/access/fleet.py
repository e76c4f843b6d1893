"""A fleet of QoS 1 devices on one event loop, each with its own certificate, that keep what is not acknowledged."""

import asyncio
import ssl
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from contracts.settings import RegionSettings
from gateway.identity.laptop import device_files, fleet_authority, folder_of, server_files
from gateway.uplink import Answers, Endpoint
from gateway.uplink.line import Message
from gateway.uplink.mqtt import MqttLine

FLEET = "bench"


def client_tls(settings: RegionSettings, device_ids: Sequence[str]) -> list[ssl.SSLContext]:
    """Each device's TLS, with a certificate of the fleet's own CA."""
    folder = folder_of(settings.state, settings.region)
    authority, trusted = fleet_authority(folder, FLEET), str(server_files(folder).ca)
    made = []
    with tempfile.TemporaryDirectory() as place:
        for device_id in device_ids:
            context = ssl.create_default_context(cafile=trusted)
            context.load_cert_chain(*device_files(Path(place), authority, device_id))
            made.append(context)
    return made


class Device(MqttLine):
    """One device: its records have a time each of their own, by which they are found again."""

    def __init__(self, device_id: str, endpoint: Endpoint, tls: ssl.SSLContext, answers: Answers) -> None:
        super().__init__(device_id, endpoint, tls, answers, lambda records, size: None)
        self.sent = 0
        self.got: list[int] = []
        """Times of the records that were acknowledged."""
        self.last_answer_s = 0.0
        self._last_ms = 0

    def report(self) -> None:
        """One more record."""
        self._last_ms = max(self._last_ms + 1, int(time.time() * 1000))
        self.sent += 1
        body = f'{{"device_id":"{self.device_id}","ts":{self._last_ms},"lat":50.0,"lon":8.0,"odometer_km":{self.sent}}}'
        self.add([body.encode()])

    def acknowledged(self, message: Message) -> None:
        """The gateway has it."""
        super().acknowledged(message)
        self.last_answer_s = time.monotonic()
        self.got += [_ts_of(record) for record in message]


async def report_in_turn(devices: Sequence[Device], a_second: float, stopped: asyncio.Event) -> None:
    """The devices report one after another, so many records a second in all."""
    began, done = time.monotonic(), 0
    while not stopped.is_set():
        due = int((time.monotonic() - began) * a_second)
        while done < due:
            devices[done % len(devices)].report()
            done += 1
        await asyncio.sleep(0.02)


def _ts_of(record: bytes) -> int:
    return int(record.partition(b'"ts":')[2].partition(b",")[0])
