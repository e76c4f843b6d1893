"""Where one JSON record ends and the next begins: a line each, one after the other, in an array, over many lines."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import chain

MOST_LINE = 8 * 1024 * 1024
MOST_RECORD = 4 * 1024 * 1024
"""What is longer and cannot be read is no record that goes on, but a broken one. The contract has 64 KiB."""
_BOM = codecs.BOM_UTF8
_BETWEEN = re.compile(r"[\s,\[\]\x1e\ufeff]*")
"""What may stand between records: blanks, the marks of arrays, RFC 7464's separator."""
_NEXT = re.compile(r"\n|(?<=\})\s*,?\s*(?=\{)")
_decoder = json.JSONDecoder()


class Framing(StrEnum):
    """How the records of a file stand. An array or records over many lines are taken apart as documents."""

    LINES = "one record a line"
    DOCUMENTS = "records one after the other"
    ARRAY = "a JSON array"


def framing_of(sample: bytes, *, whole: bool) -> Framing:
    """How a file's records stand. sample: its first bytes; whole: they are all of it."""
    text = sample.lstrip()
    line, newline, _ = text.partition(b"\n")
    if newline and split_line(line.rstrip()) and _is_object(line):
        return Framing.LINES
    if text.startswith(b"["):
        return Framing.ARRAY
    if not newline:
        return Framing.LINES if whole else Framing.DOCUMENTS
    return Framing.DOCUMENTS if text.startswith(b"{") and _object_end(text) > len(line) else Framing.LINES


def lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their ends; blank ones are left out. From one longer than MOST_LINE on, as `documents`."""
    rest = b""
    blocks = iter(blocks)
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        yield from (line.rstrip(b"\r") for line in whole if line.strip())
        if len(rest) > MOST_LINE:
            yield from documents(chain([rest], blocks))
            return
    if rest.strip():
        yield rest.rstrip(b"\r")


def documents(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Records wherever they stand, byte for byte. What cannot be read comes as a piece of its own, up to the next line
    or record."""
    text, decoder = "", codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for block in chain(blocks, [None]):
        final = block is None
        text += decoder.decode(block or b"", final)
        place = 0
        while True:
            place = _after(text, place)
            if place == len(text):
                break
            end = _end(text, place)
            if end < 0:
                if not final and len(text) - place < MOST_RECORD:
                    break
                end = _next(text, place)
            yield _bytes(text[place:end])
            place = end
        text = text[place:]


def split_line(line: bytes) -> list[bytes]:
    """The records of a line that is not one: several of them, an array of them, a byte order mark before them. What
    follows the last that can be read is a piece of its own. A line that does not begin with a record stays whole.
    """
    line = line.removeprefix(_BOM)
    text = line.decode("utf-8", "surrogateescape")
    place, pieces = _after(text, 0), []
    while place < len(text) and text[place] == "{" and (end := _end(text, place)) > 0:
        pieces.append(_bytes(text[place:end]))
        place = _after(text, end)
    if not pieces:
        return [line]
    return [*pieces, _bytes(text[place:])] if place < len(text) else pieces


def _is_object(line: bytes) -> bool:
    return split_line(line)[0] != line.removeprefix(_BOM) or _object_end(line.removeprefix(_BOM)) > 0


def _object_end(data: bytes) -> int:
    text = data.decode("utf-8", "surrogateescape").lstrip()
    return _end(text, 0) if text.startswith("{") else -1


def _after(text: str, place: int) -> int:
    found = _BETWEEN.match(text, place)
    return found.end() if found else place


def _end(text: str, place: int) -> int:
    """Where the value that begins at `place` ends; -1 where it cannot be read."""
    try:
        return _decoder.raw_decode(text, place)[1]
    except (ValueError, RecursionError):
        return -1


def _next(text: str, place: int) -> int:
    found = _NEXT.search(text, place + 1)
    return found.start() if found else len(text)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape").rstrip()
