"""What devices put on the stream of a simulated cluster, and what should become of it."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from contracts.kpl import aggregate
from ingest.batch import ShardId
from ingest.kinesis.memory import HASHES
from ingest.live.order_key import order_key
from tests.simulation.stores import CityStream

SLOW, BREAKING = b'"slow"', b'"breaking"'
"""Mark a record that takes long to decode, and one that breaks the decoder."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One user record as it was put."""

    shard_id: ShardId
    sequence_number: str
    device: str
    order: str
    """Its order key; empty where it can only be rejected."""
    place: tuple[float, float] | None
    """Longitude and latitude."""
    arrival_ms: int


class Devices:
    """Puts user records, each known by a number: plain and aggregated, late, ahead of time, broken."""

    def __init__(self, stream: CityStream, chance: random.Random, now_ms: Callable[[], int]) -> None:
        self.sent: dict[int, Sent] = {}
        self._stream = stream
        self._chance = chance
        self._now_ms = now_ms

    def put(self, count: int) -> None:
        """So many user records, by whichever devices."""
        chance = self._chance
        while count > 0:
            size = 1 if chance.random() < 0.8 else min(count, chance.randint(2, 6))
            self._put([self._body(len(self.sent) + place) for place in range(size)])
            count -= size

    def put_odd(self, mark: bytes) -> None:
        """One record that can only be rejected, marked as SLOW or BREAKING."""
        number, ts_ms = len(self.sent), self._now_ms()
        self._put([("", ts_ms, b'{"event_id":"%d","ts":%d,"x":%b}' % (number, ts_ms, mark))])

    def _put(self, bodies: list[tuple[str, int, bytes]]) -> None:
        datas = [data for _, _, data in bodies]
        whole = datas[0] if len(datas) == 1 else aggregate([("k", data) for data in datas])
        shard_id, sequence = self._stream.put("k", whole, explicit_hash=self._chance.randrange(HASHES))
        arrival_ms = self._stream.newest(shard_id).arrival_ms
        for sub, (device, ts_ms, _) in enumerate(bodies):
            order = order_key(ts_ms, arrival_ms, sequence, sub) if device else ""
            place = _place(len(self.sent)) if device else None
            self.sent[len(self.sent)] = Sent(shard_id, sequence, device, order, place, arrival_ms)

    def _body(self, number: int) -> tuple[str, int, bytes]:
        kind, device = self._chance.random(), f"d{self._chance.randrange(12)}"
        ts_ms = self._now_ms() - self._chance.randrange(20_000)
        if kind < 0.015:
            return "", ts_ms, b'{"event_id":"%d","ts":%d}' % (number, ts_ms)
        if kind < 0.03:
            return "", ts_ms, b'{"event_id":"%d"' % number
        if kind < 0.15:
            ts_ms += self._chance.randrange(200_000)
        elif kind < 0.2:
            ts_ms -= self._chance.randrange(20_000_000)
        data = b'{"device_id":"%s","ts":%d,"event_id":"%d","speed_kmh":%d%b}' % (
            device.encode(),
            ts_ms,
            number,
            number % 90,
            b"" if (place := _place(number)) is None else b',"lon":%.1f,"lat":%.1f' % place,
        )
        return device, ts_ms, data


def _place(number: int) -> tuple[float, float] | None:
    """Where the record with that number was sent from: two of three say so."""
    return (number % 170 + 0.5, number % 80 + 0.5) if number % 3 else None
