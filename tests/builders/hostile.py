"""Records that a bad radio, a bad encoder or an attacker might send: seeded, so that a find can be repeated."""

import json
import random
import zlib
from collections.abc import Callable, Iterator

from contracts.kpl import MAGIC, MAX_USER_RECORDS, aggregate
from tests.builders.ingest import ARRIVAL_MS, mutated, telemetry

_MIB = 1024 * 1024
_READINGS = ("lat", "lon", "speed_kmh", "heading_deg", "odometer_km", "engine_rpm", "fuel_pct", "coolant_c")
_NUMBERS = (
    "1e999", "-1e999", "1e-999", "9" * 400, "-0", "-0.0", "1E+308", "0.1e309", "NaN", "Infinity", "-Infinity", "nan",
    "00", "01", "1.", ".5", "+1", "0x10", "1_000", "9223372036854775808", "-9223372036854775809", "1e-320", "2e9",
)  # fmt: skip
_VALUES = ("null", "true", '"text"', "[]", "{}", "[null]", '{"a":{"b":[]}}', '""', '"\\u0000"', '"\\ud800"', "[1,2]")
_TEXTS = (
    "\\ud800",
    "\\udc00\\ud800",
    "\\u0000",
    "\\uFFFF",
    "\\ud83d\\ude80",
    "a" * 129,
    "../../x",
    "d\\n1",
    "\\t",
    "=1+1",
)
_FIELDS = (
    "device_id",
    "ts",
    "event_id",
    "lat",
    "lon",
    "speed_kmh",
    "engine_on",
    "fault_codes",
    "signals",
    "attributes",
)
_BYTES = (b"\x00", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\xfe\xff", b"\x80")
_TIMES = (
    "-1", "0", "1e3", "1764000000000.0", '"2026-13-40T99:99:99Z"', '"2026-11-23T08:00:00"', '"0000-00-00T00:00:00Z"',
    '"9999-12-31T23:59:60Z"', '"2026-11-23T08:00:00+99:99"', '"-0001-01-01T00:00:00Z"', "9" * 30, '"1795420800000"',
    '"2026-11-23T08:00:00.' + "1" * 300 + 'Z"', "946684799999", "1795421100001",
)  # fmt: skip


def hostile(seed: int, count: int) -> Iterator[bytes]:
    """`count` Kinesis records' bytes, each of a kind chosen by chance; the same seed gives the same bytes."""
    chance = random.Random(seed)
    regular = telemetry(seed, 200)
    kinds = list(_KINDS)
    weights = [_KINDS[kind] for kind in kinds]
    for kind in chance.choices(kinds, weights, k=count):
        yield kind(chance, chance.choice(regular))


def _broken(chance: random.Random, data: bytes) -> bytes:
    return mutated(chance, data)


def _twisted(chance: random.Random, data: bytes) -> bytes:
    """Whole JSON, one field of another kind."""
    fields = {name: json.dumps(value) for name, value in json.loads(data).items()}
    name = chance.choice(_FIELDS)
    fields[name] = chance.choice(_NUMBERS + _VALUES if name != "ts" else _TIMES + _NUMBERS)
    return _object(list(fields.items()))


def _worded(chance: random.Random, data: bytes) -> bytes:
    """Odd texts as ids, names and values: lone surrogates, NUL, control characters, far too long."""
    fields = {name: json.dumps(value) for name, value in json.loads(data).items()}
    text = chance.choice(_TEXTS)
    place = chance.choice(("device_id", "event_id", "fault_codes", "attributes", "signals", "unknown", "name"))
    shown = {"fault_codes": f'["{text}"]', "attributes": f'{{"{text}":"{text}"}}', "signals": f'{{"{text}":1}}'}
    fields[text if place == "name" else place] = shown.get(place, f'"{text}"')
    return _object(list(fields.items()))


def _numbered(chance: random.Random, data: bytes) -> bytes:
    fields = {name: json.dumps(value) for name, value in json.loads(data).items()}
    for name in chance.sample(_READINGS, 3):
        fields[name] = chance.choice(_NUMBERS)
    return _object(list(fields.items()))


def _repeated(chance: random.Random, data: bytes) -> bytes:
    """The same key several times, with other values."""
    fields = [(name, json.dumps(value)) for name, value in json.loads(data).items()]
    for _ in range(chance.randint(1, 4)):
        fields.insert(chance.randrange(len(fields)), (chance.choice(_FIELDS), chance.choice(_VALUES + _NUMBERS)))
    return _object(fields)


def _nested(chance: random.Random, data: bytes) -> bytes:
    """Deep nesting, closed or not, alone or within a record."""
    depth = chance.choice((63, 64, 65, 500, 5_000, 30_000))
    opening, closing = chance.choice((("[", "]"), ('{"a":', "}")))
    inside = opening * depth + "1" + closing * (depth if chance.random() < 0.7 else depth // 2)
    field = chance.choice(("signals", "attributes", "deep", "device_id"))
    return inside.encode() if chance.random() < 0.3 else data[:-1] + f',"{field}":{inside}}}'.encode()


def _not_utf8(chance: random.Random, data: bytes) -> bytes:
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.choice(_BYTES) * chance.randint(1, 3) + data[place:]


def _noise(chance: random.Random, data: bytes) -> bytes:
    return chance.choice((b"", b" ", b"null", b"[]", b"{}", b'"', data + data, data + b"\n", chance.randbytes(40)))


def _huge(chance: random.Random, data: bytes) -> bytes:
    """Up to 1 MiB, all of it looked at or none."""
    size = chance.choice((65_535, 65_537, 300_000, _MIB - 1_000))
    fill = chance.choice((b" ", b"[", b"9", b"a", b"\\", b"\x00"))
    return data[:-1] + b',"x":"' + fill * (size - len(data)) + chance.choice((b'"}', b""))


def _framed(chance: random.Random, data: bytes) -> bytes:
    """KPL aggregates, whole or not: bits turned, cut, other checksums, aggregates in aggregates, nothing inside."""
    whole = aggregate([("k", data), ("k", mutated(chance, data)), ("k", b""), ("k", data)])
    kind = chance.randrange(7)
    if kind == 0:
        return whole
    if kind == 1:
        return whole[: chance.randrange(len(whole))]
    if kind == 2:
        return MAGIC + chance.randbytes(chance.randrange(60))
    if kind == 3:
        return aggregate([("k", whole), ("k", whole)])
    if kind == 4:
        return aggregate([])
    place = chance.randrange(len(whole))
    return whole[:place] + bytes([whole[place] ^ (1 << chance.randrange(8))]) + whole[place + 1 :]


def _bomb(chance: random.Random, data: bytes) -> bytes:
    """Much in little: many empty records in one aggregate, compressed bodies, keys by the thousand."""
    kind = chance.randrange(3)
    if kind == 0:
        return aggregate([("k", b"")] * chance.choice((MAX_USER_RECORDS, MAX_USER_RECORDS + 1, 200, 200, 200, 200)))
    if kind == 1:
        return aggregate([("k", zlib.compress(data * 1_000, 9))])
    many = ",".join(f'"f{number}":1' for number in range(chance.choice((300, 1_200))))
    return data[:-1] + f",{many}}}".encode()


def _regular(chance: random.Random, data: bytes) -> bytes:
    return (
        data[:-1] + f',"event_id":"{chance.getrandbits(60):x}","ts":{ARRIVAL_MS - chance.randrange(10**9)}}}'.encode()
    )


def _object(fields: list[tuple[str, str]]) -> bytes:
    body = ",".join(f'"{name}":{value}' for name, value in fields)
    return f"{{{body}}}".encode("utf-8", "surrogatepass")


_KINDS: dict[Callable[[random.Random, bytes], bytes], float] = {
    _broken: 30, _twisted: 15, _worded: 10, _numbered: 10, _repeated: 8, _not_utf8: 10, _noise: 4, _regular: 10,
    _framed: 3, _nested: 0.5, _huge: 0.1, _bomb: 0.05,
}  # fmt: skip
