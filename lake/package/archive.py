"""Archives of the same bytes from the same content: sorted, of one moment, of no user."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from contracts.errors import FleetlakeError

Content = Mapping[str, Path | bytes]
"""What an archive holds, by the name inside it."""
MOMENT = 1_767_225_600
"""The time of every file: 2026-01-01. Zip and tar tools, and numba, take it as any other."""
_LEVEL = 4


def write_archive(target: Path, content: Content, digests: Mapping[str, str] | None = None) -> None:
    """Write `content` as a .tar.gz.

    digests: sha256 in hexadecimals that a file must have. Raises FleetlakeError where it has another.
    """
    with (
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=MOMENT, compresslevel=_LEVEL) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for name in sorted(content):
            source = content[name]
            data = source if isinstance(source, bytes) else source.read_bytes()
            expected = (digests or {}).get(name)
            if expected and hashlib.sha256(data).hexdigest() != expected:
                raise FleetlakeError(f"{name} is not as it was installed; install it anew (make install)")
            archive.addfile(_entry(name, data), io.BytesIO(data))


def _entry(name: str, data: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = len(data), MOMENT, 0o644
    return entry


def sha256_of(path: Path) -> str:
    """The file's sha256 in hexadecimals."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
