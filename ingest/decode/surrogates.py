"""Records with half of a surrogate pair in an escape, as where an emoji was cut in two: JSON, but no Unicode text."""

import re
from collections.abc import Callable

import msgspec

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""One escape; its group holds half of a pair that stands alone."""
_MARKED = re.compile(r"~u[dD][89a-fA-F][0-9a-fA-F]{2}")
_BACKSLASH = ord("\\")


def members(data: bytes) -> dict[str, bytes]:
    """An object's members by name, each as its JSON text, which may hold half a pair; in a name it shows as U+FFFD.

    Such an escape is read as plain letters, once with one mark and once with another: where the two readings of a
    member differ, it is the backslash of an escape. Raises msgspec.DecodeError where the data is wrong otherwise too.
    """
    reading, other = (_OBJECT.decode(_ESCAPE.sub(_with(mark), data)) for mark in (b"~", b"!"))
    found: dict[str, bytes] = {}
    for name, raw in reading.items():
        text = bytes(raw)
        if name not in other:
            found[_MARKED.sub("\ufffd", name)] = text
            continue
        again = bytes(other[name])
        if text != again:
            text = bytes(_BACKSLASH if one != two else one for one, two in zip(text, again, strict=True))
        found[name] = text
    return found


def _with(mark: bytes) -> Callable[[re.Match[bytes]], bytes]:
    return lambda escape: mark + escape[1] if escape[1] else escape[0]
