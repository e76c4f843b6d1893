"""10,000 records made to be slow to decode: what the slowest costs a KiB, and whether the cost grows with the size."""

import gc
import json
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from bench.rows import Row
from contracts.kpl import aggregate
from ingest.batch import KinesisRecord
from ingest.decode import JsonDecoder

ARRIVAL_MS = 1_795_420_800_000
SIZES = (1_024, 4_096, 16_384, 64_500)
_COPIES = (120, 60, 30, 18)
_START = b'{"device_id":"d","ts":%d' % (ARRIVAL_MS - 1_000)
_SHARD = "shardId-000000000000"

Kind = Callable[[int], bytes]
"""A record of about so many bytes."""


class Cost(NamedTuple):
    """What one record of a kind takes, in milliseconds of the processor."""

    kind: str
    size: int
    ms: float

    @property
    def ms_a_kib(self) -> float:
        """Per KiB of the record."""
        return self.ms / (self.size / 1_024)


def costs(copies: tuple[int, ...] = _COPIES) -> Iterator[Cost]:
    """The cost of each kind in each of SIZES, as the mean of so many copies, by both readers' slower one."""
    gc.freeze()  # as the consumer does: what was imported is not walked again
    for kind, make in KINDS.items():
        for size, count in zip(SIZES, copies, strict=True):
            data = make(size)
            slower_ms = max(_decode_ms(data, count, plain=plain) for plain in (True, False))
            yield Cost(kind, len(data), slower_ms / count)


def run() -> list[Row]:
    """The benchmark: the worst kinds, and how far from linear the cost of any is."""
    found = list(costs())
    worst = sorted(found, key=lambda cost: -cost.ms_a_kib)[:5]
    growth = max(_growth(found, kind) for kind in KINDS)
    return [
        _row(
            f"{sum(_COPIES) * len(KINDS):,} records, worst: {worst[0].kind}, {worst[0].size} bytes", worst[0].ms_a_kib
        ),
        *(_row(f"next: {cost.kind}, {cost.size} bytes", cost.ms_a_kib) for cost in worst[1:]),
        _row("cost a KiB at 63 KiB over that at 4 KiB, at most", growth, "times"),
    ]


def _row(what: str, value: float, unit: str = "ms/KiB") -> Row:
    return Row(what=what, value=value, unit=unit)


def _growth(found: list[Cost], kind: str) -> float:
    _, small, _, large = [cost.ms_a_kib for cost in found if cost.kind == kind]
    return large / small


def _decode_ms(data: bytes, count: int, *, plain: bool) -> float:
    """Processor time of decoding so many copies; the bare minimum of a batch is not theirs."""
    decoder = JsonDecoder(plain=plain)
    records = [KinesisRecord.at(ARRIVAL_MS, str(10**55 + number), "k", data) for number in range(count)]
    started_s = time.thread_time()
    decoder.decode(_SHARD, records)
    return (time.thread_time() - started_s) * 1_000


def _repeated(start: bytes, unit: bytes, end: bytes) -> Kind:
    return lambda size: start + unit * ((size - len(start) - len(end)) // len(unit)) + end


def _counted(start: bytes, unit: bytes, end: bytes) -> Kind:
    """The unit holds a %d, which no two have in common; a comma stands between two."""
    width = len(unit % 10_000) + 1
    return lambda size: start + b",".join(unit % place for place in range((size - len(start)) // width)) + end


def _encoded_twice(size: int) -> bytes:
    inner = {"device_id": "d", "ts": ARRIVAL_MS, "stops": [{"a": "b"}] * (size // 20)}
    return json.dumps(json.dumps(inner)).encode()


def _nested(size: int) -> bytes:
    depth = (size - len(_START)) // 2 - 4
    return _START + b',"x":' + b"[" * depth + b"]" * depth + b"}"


def _one_prefix(size: int) -> bytes:
    names = [b'"%s%02d":""' % (b"x" * (size // 70), place) for place in range(64)]
    return _START + b',"attributes":{' + b",".join(names) + b"}}"


def _taken_places(size: int) -> bytes:
    names = [b'"speed_kmh%s":""' % (b".sent" * place) for place in range(int((size / 2.5) ** 0.5) - 6)]
    return _START + b',"speed_kmh":"x","attributes":{' + b",".join(names) + b"}}"


def _refused_in_aggregate(size: int) -> bytes:
    return aggregate([("k", b"x" * 20)] * (size // 26))


def _empty_in_aggregate(size: int) -> bytes:
    return aggregate([("k", b"")] * (size // 6))


KINDS: dict[str, Kind] = {
    "escaped quotes outside of strings": _repeated(b"[" * 65, b'\\"', b""),
    "JSON encoded twice": _encoded_twice,
    "open lists": _repeated(b"", b"[", b""),
    "open objects": _repeated(b"", b'{"a":', b""),
    "nested lists": _nested,
    "brackets in a string": _repeated(_START + b',"x":["', b"[", b'"]}'),
    "strings of brackets": _repeated(_START + b',"x":[', b'"[",', b'""]}'),
    "quotes": _repeated(b"", b'"', b""),
    "brackets and quotes": _repeated(b"[" * 65, b'"', b""),
    "backslashes": _repeated(b"", b"\\", b""),
    "escaped backslashes": _repeated(_START + b',"x":"', b"\\\\", b'"}'),
    "escapes": _repeated(_START + b',"attributes":{"a":"', b"\\u00e4", b'"}}'),
    "escaped surrogates": _repeated(_START + b',"x":"', b"\\ud83d\\ude00", b'"}'),
    "not UTF-8": _repeated(b"", b"\xff", b""),
    "zero bytes": _repeated(b"", b"\0", b""),
    "blanks": _repeated(b"", b" ", _START + b"}"),
    "digits of ts": _repeated(b'{"device_id":"d","ts":', b"9", b"}"),
    "digits of a negative ts": _repeated(b'{"device_id":"d","ts":-', b"9", b"}"),
    "digits of a reading": _repeated(_START + b',"speed_kmh":', b"9", b"}"),
    "digits of a signal": _repeated(_START + b',"signals":{"a":', b"9", b"}}"),
    "digits of a fraction": _repeated(_START + b',"speed_kmh":0.', b"1", b"}"),
    "zeros of a fraction": _repeated(_START + b',"speed_kmh":0.', b"0", b"1}"),
    "digits of an exponent": _repeated(_START + b',"speed_kmh":1e', b"9", b"}"),
    "numbers beyond a double": _counted(_START + b',"signals":{', b'"%d":1e999999', b"}}"),
    "numbers between two doubles": _counted(
        _START + b',"signals":{', b'"%d":9007199254740993.' + b"0" * 760 + b"1", b"}}"
    ),
    "numbers between two tiny doubles": _counted(_START + b',"signals":{', b'"%d":2.4703282292062327208e-324', b"}}"),
    "unknown names": _counted(_START + b",", b'"u%d":1', b"}"),
    "one unknown name": _repeated(_START, b',"u":1', b"}"),
    "ts again and again": _repeated(_START, b',"ts":%d' % ARRIVAL_MS, b"}"),
    "signals again and again": _repeated(_START, b',"signals":{"a":1}', b"}"),
    "entries of a map": _counted(_START + b',"attributes":{', b'"%d":""', b"}}"),
    "entries of one name": _repeated(_START + b',"attributes":{', b'"a":"",', b'"a":""}}'),
    "names of one prefix": _one_prefix,
    "places that are taken": _taken_places,
    "fault codes": _repeated(_START + b',"fault_codes":[', b'"",', b'""]}'),
    "fault codes that end badly": _repeated(_START + b',"fault_codes":[', b'"",', b"1]}"),
    "fraction of a time": _repeated(b'{"device_id":"d","ts":"2026-11-23T07:59:59.', b"1", b'Z"}'),
    "a text for a time": _repeated(b'{"device_id":"d","ts":"', b"1", b'Z"}'),
    "a long device id": _repeated(b'{"device_id":"', b"a", b'","ts":1}'),
    "a long device id beyond ASCII": _repeated(b'{"device_id":"', "ä".encode(), b'","ts":1}'),
    "a long event id": _repeated(_START + b',"event_id":"', b"a", b'"}'),
    "user records that are refused": _refused_in_aggregate,
    "user records without bytes": _empty_in_aggregate,
}
"""By what is slow about them."""
