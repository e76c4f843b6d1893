"""The interface to the object store, S3."""

from collections.abc import AsyncIterator
from typing import Protocol


class ObjectStore(Protocol):
    """One region's bucket.

    Promises
    - `put_new` never overwrites. It returns if an object of that key exists with the same bytes (so a put whose
      response was lost may be repeated) and raises ObjectConflict if it exists with others.
    - After `put_new` has returned, `get` returns exactly those bytes and `list` includes the key.
    - `delete` of a key that does not exist is not an error.
    - A store that is down, full, read-only or denying raises SinkUnavailable, which names it and says what to do;
      nothing else is raised for it. FleetlakeError says that it can never take or give this.
    - Methods may be called from many tasks at once.
    """

    async def put_new(self, key: str, data: bytes) -> None: ...

    async def get(self, key: str) -> bytes:
        """The object's bytes. Raises KeyError where there is none."""
        ...

    def list(self, prefix: str) -> AsyncIterator[str]:
        """Keys that start with `prefix`, in the order of their bytes."""
        ...

    async def delete(self, key: str) -> None: ...

    async def close(self) -> None: ...
