"""An ObjectStore in a folder of this machine: for a consumer that lands beside its readers, without S3."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from contracts.errors import ObjectConflict, SinkUnavailable

_T = TypeVar("_T")
_UNFINISHED = ".unfinished-"


class FolderStore:
    """An ObjectStore whose keys are paths below a folder. Whole objects only are seen, also after a crash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put_new(self, key: str, data: bytes) -> None:
        """Keep an object; see ObjectStore."""
        await self._run(lambda: self._put(key, data))

    async def get(self, key: str) -> bytes:
        """The object's bytes. Raises KeyError."""
        return await self._run(lambda: self._read(key))

    async def list(self, prefix: str) -> AsyncIterator[str]:
        """Keys that start with `prefix`, in order."""
        for key in await self._run(lambda: sorted(self._keys(prefix), key=str.encode)):
            yield key

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        await self._run(lambda: (self._folder / key).unlink(missing_ok=True))

    async def close(self) -> None:
        """Nothing to close."""

    async def _run(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise SinkUnavailable(f"folder {self._folder}: {error.strerror}; make room, or give access") from error

    def _put(self, key: str, data: bytes) -> None:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{_UNFINISHED}{uuid4().hex}")
        try:
            with unfinished.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(unfinished, path)  # fails where the object exists, and never shows half of one
        finally:
            unfinished.unlink(missing_ok=True)
        if path.read_bytes() != data:
            raise ObjectConflict(f"{key} exists with other bytes; nothing was written")

    def _read(self, key: str) -> bytes:
        try:
            return (self._folder / key).read_bytes()
        except FileNotFoundError:
            raise KeyError(key) from None

    def _keys(self, prefix: str) -> Iterator[str]:
        start = self._folder / prefix.rpartition("/")[0]
        for path in start.rglob("*"):
            key = path.relative_to(self._folder).as_posix()
            if key.startswith(prefix) and not path.name.startswith(_UNFINISHED) and path.is_file():
                yield key
