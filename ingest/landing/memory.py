"""An in-memory ObjectStore for tests and simulations."""

from collections.abc import AsyncIterator

from contracts.errors import ObjectConflict


class MemoryStore:
    """An ObjectStore in a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def put_new(self, key: str, data: bytes) -> None:
        """Keep an object; see ObjectStore."""
        held = self.objects.setdefault(key, bytes(data))
        if held != data:
            raise ObjectConflict(f"{key} exists with other bytes; nothing was written")

    async def get(self, key: str) -> bytes:
        """The object's bytes. Raises KeyError."""
        return self.objects[key]

    async def list(self, prefix: str) -> AsyncIterator[str]:
        """Keys that start with `prefix`, in order."""
        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield key

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        self.objects.pop(key, None)

    async def close(self) -> None:
        """Nothing to close."""
