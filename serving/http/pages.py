"""The files of the map, held in memory: a name that is not among them does not exist."""

import mimetypes
from collections.abc import Mapping
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

import pyarrow as pa

_TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".json": "application/json", ".svg": "image/svg+xml"}
_TEXT = ("text/", "application/json", "image/svg+xml")
FIRST_PAGE = "index.html"
_LEVEL = 6


class Page(NamedTuple):
    """A file as it is sent."""

    kind: str
    body: bytes
    packed: bytes | None
    """The same, compressed by gzip, where that is smaller."""
    tag: str


def pages() -> Mapping[str, Page]:
    """Every file of the map by its path."""
    root = files("serving").joinpath("web")
    return {name: _page(name, file.read_bytes()) for name, file in _walk(root, "")}


def _walk(folder: Traversable, path: str) -> list[tuple[str, Traversable]]:
    found = []
    for one in folder.iterdir():
        name = f"{path}{one.name}"
        found += _walk(one, f"{name}/") if one.is_dir() else [(name, one)]
    return found


def _page(name: str, body: bytes) -> Page:
    suffix = f".{name.rpartition('.')[2]}"
    kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "text/plain"
    packed = pa.Codec("gzip", compression_level=_LEVEL).compress(body, asbytes=True) if kind.startswith(_TEXT) else body
    known = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
    return Page(known, body, packed if len(packed) < len(body) else None, blake2b(body, digest_size=12).hexdigest())
