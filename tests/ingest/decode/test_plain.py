"""The reader of plain records knows when looking is not worth it."""

from ingest.decode.plain import SKIPPED_PARTS, PlainReader
from ingest.records import Payloads
from tests.builders.ingest import payload

_PLAIN = payload(speed_kmh=50.0)
_ESCAPED = _PLAIN.replace(b"{", b'{"\\u0061":1,', 1)


def test_after_records_that_are_mostly_not_plain_it_looks_away_for_a_while() -> None:
    reader = PlainReader()
    mixed = reader.read(Payloads.of([_PLAIN, _ESCAPED, _ESCAPED]))
    assert mixed is not None
    assert mixed.plain.tolist() == [1, 0, 0]
    away = [reader.read(Payloads.of([_PLAIN])) for _ in range(SKIPPED_PARTS)]
    assert away == [None] * SKIPPED_PARTS
    again = reader.read(Payloads.of([_PLAIN]))
    assert again is not None
    assert again.plain.tolist() == [1]


def test_where_half_are_plain_it_goes_on_looking() -> None:
    reader = PlainReader()
    for _ in range(3):
        read = reader.read(Payloads.of([_ESCAPED, _PLAIN]))
        assert read is not None
        assert read.plain.tolist() == [0, 1]
