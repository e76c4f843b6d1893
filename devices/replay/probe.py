"""What a file is, by its first bytes: its kind, how it is packed, how its text is encoded."""

import bz2
import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import pyarrow as pa

from contracts.errors import BadInputFile, BadMapping

Kind = Literal["parquet", "csv", "json"]
_SUFFIXES: dict[str, Kind] = {
    ".csv": "csv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".json": "json",
    ".tsv": "csv",
}
_PACKED_SUFFIXES = (".gz", ".gzip", ".zst", ".bz2")
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
_UNREADABLE = {b"PK\x03\x04": "a ZIP archive (or a spreadsheet)", b"\xfd7zXZ\x00": "packed with xz"}
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
BLOCK_BYTES = 1024 * 1024
SAMPLE_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class FileForm:
    """What a file is. compression: gzip, zstd, bz2 or None. encoding: as codecs name it."""

    path: Path
    kind: Kind
    compression: str | None
    encoding: str

    def told(self) -> dict[str, Any]:
        """As the report says it."""
        told = {"format": self.kind, "compression": self.compression or "none"}
        if self.kind != "parquet":
            told["encoding"] = {"utf-8-sig": "utf-8 with a byte order mark"}.get(self.encoding, self.encoding)
        return told

    def blocks(self, size: int = BLOCK_BYTES) -> Iterator[bytes]:
        """The text in UTF-8, unpacked, without a byte order mark. Raises BadInputFile where it is damaged."""
        with damage(self.path), _unpacked(self.path, self.compression) as file:
            if self.encoding == "utf-8":
                while block := file.read(size):
                    yield block
                return
            decoder = codecs.getincrementaldecoder(self.encoding)(errors="strict")
            while block := file.read(size):
                yield decoder.decode(block).encode()
            yield decoder.decode(b"", True).encode()


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """What goes wrong in unpacking, as BadInputFile."""
    try:
        yield
    except (pa.ArrowInvalid, OSError, EOFError, zlib.error, UnicodeError) as error:
        raise BadInputFile(f"{path} is damaged: {error}") from None


def probe(path: Path, encoding: str | None) -> FileForm:
    """What the file is. encoding: the mapping's.

    Raises BadInputFile where it is missing, empty or of no known kind, BadMapping where there is no such encoding.
    """
    kind = _kind_by_name(path)
    with path.open("rb") as file:
        first = file.read(8)
    for magic, what in _UNREADABLE.items():
        if first.startswith(magic):
            raise BadInputFile(f"{path} is {what}: unpack or export it; replay reads {known_suffixes()}")
    if first.startswith(b"PAR1"):
        kind = "parquet"
    if kind == "parquet":
        return FileForm(path, kind, None, "")
    compression = next((name for magic, name in _PACKED.items() if first.startswith(magic)), None)
    with damage(path), _unpacked(path, compression) as file:
        first = file.read(4)
    mark = next((name for bytes_, name in _MARKS.items() if first.startswith(bytes_)), None)
    if compression and first.startswith(b"PAR1"):
        raise BadInputFile(f"{path} is a Parquet file that is packed as {compression}: unpack it")
    return FileForm(path, kind, compression, mark or _codec(encoding))


def sample(form: FileForm) -> tuple[bytes, bool]:
    """The first bytes of the text, and whether they are all of it."""
    taken = b""
    for block in form.blocks(SAMPLE_BYTES):
        taken += block
        if len(taken) > SAMPLE_BYTES:
            return taken[:SAMPLE_BYTES], False
    return taken, True


def known_suffixes() -> str:
    """What replay reads, for a message."""
    plain = [[suffix, suffix + ".gz"] if kind != "parquet" else [suffix] for suffix, kind in _SUFFIXES.items()]
    return ", ".join(suffix for pair in plain for suffix in pair)


def _kind_by_name(path: Path) -> Kind:
    if path.is_dir():
        raise BadInputFile(f"{path} is a folder; name one file of it")
    if not path.exists():
        raise BadInputFile(f"no file {path}")
    name = path.name.lower()
    for packed in _PACKED_SUFFIXES:
        name = name.removesuffix(packed)
    found = [kind for suffix, kind in _SUFFIXES.items() if name.endswith(suffix)]
    if not found:
        raise BadInputFile(f"{path}: replay reads {known_suffixes()}")
    if path.stat().st_size == 0:
        raise BadInputFile(f"{path} is empty")
    return found[0]


def _codec(encoding: str | None) -> str:
    try:
        return "utf-8" if encoding is None else codecs.lookup(encoding).name
    except LookupError:
        raise BadMapping(f"encoding {encoding!r} is none that Python knows; write one such as 'windows-1252'") from None


def _unpacked(path: Path, compression: str | None) -> IO[bytes]:
    if compression == "gzip":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if compression == "bz2":
        return bz2.open(path, "rb")
    if compression is not None:
        return pa.input_stream(path, compression=compression)  # type: ignore[no-any-return]
    return path.open("rb")
