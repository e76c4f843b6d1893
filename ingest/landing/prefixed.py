"""A part of a bucket as a store of its own."""

from collections.abc import AsyncIterator

from ingest.landing.store import ObjectStore


class Prefixed:
    """The objects of a store whose keys begin with a prefix, known by the rest of their keys."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    async def put_new(self, key: str, data: bytes) -> None:
        """Put below the prefix; see ObjectStore."""
        await self._store.put_new(self._prefix + key, data)

    async def get(self, key: str) -> bytes:
        """The object's bytes. Raises KeyError."""
        return await self._store.get(self._prefix + key)

    async def list(self, prefix: str) -> AsyncIterator[str]:
        """Keys below the prefix that start with `prefix`, in order."""
        async for key in self._store.list(self._prefix + prefix):
            yield key.removeprefix(self._prefix)

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        await self._store.delete(self._prefix + key)

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()
