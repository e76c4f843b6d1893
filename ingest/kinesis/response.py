"""Decodes a response with records: compiled code reads the records, msgspec all other members, or msgspec the whole."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from ingest.batch import KinesisRecord


class _Answer(Protocol):
    records: list[KinesisRecord]


_A = TypeVar("_A", bound=_Answer)


def decode_response(
    body: bytes, decode: Callable[[bytes], _A], *, compiled: bool = True
) -> tuple[_A, Sequence[KinesisRecord]]:
    """Decode a response that has `Records`. decode: msgspec's decoder for the whole. Raises what `decode` raises.

    Returns what `decode` returned, and the records. A response as Kinesis writes it, in plain ASCII, is read in one
    pass, and the returned response holds no records; any other, and without `compiled` all, by msgspec alone.
    """
    packed = _packed(body) if compiled else None
    if packed is None:
        answer = decode(body)
        return answer, answer.records
    records, start, end = packed
    return decode(b"%b[]%b" % (body[:start], body[end:])), records


def _packed(body: bytes) -> tuple[Sequence[KinesisRecord], int, int] | None:
    from ingest.kinesis.packed import packed  # loads numba

    return packed(body)
