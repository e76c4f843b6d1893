"""A device's past: the lake's spot query, unchanged, in threads of its own."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from contracts.errors import BadCursor, Misuse, TooMuchToRead
from contracts.settings import RegionSettings
from serving.problems import BadRequest, TooMuch
from serving.stores.away import naming_the_store

if TYPE_CHECKING:
    from lake.trail import SpotQuery, Trail

THREADS = 8
MOST_DEVICES = 100
_T = TypeVar("_T")


class Trails:
    """Spot queries over connections that are kept."""

    def __init__(self, settings: RegionSettings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="past")
        self._query: asyncio.Future[SpotQuery] | None = None

    def open(self) -> None:
        """Begin to import what spot queries need, which takes seconds, and to make clients; no store is asked."""
        self._query = asyncio.get_running_loop().run_in_executor(self._threads, self._opened)

    async def close(self) -> None:
        """End the queries."""
        if self._query is not None and self._query.done():
            self._query.result().close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def trail(
        self,
        device_ids: Sequence[str],
        start: datetime,
        end: datetime,
        after: str | None = None,
        limit: int | None = None,
    ) -> "Trail":
        """Records with start <= ts < end of at most MOST_DEVICES, or a page of them.

        Raises BadRequest, TooMuch, StoreAway.
        """
        assert self._query is not None  # noqa: S101 - opened with the service
        query = await self._query
        with naming_the_store():
            try:
                return await self.apart(lambda: query.trails(list(device_ids), start, end, after=after, limit=limit))
            except TooMuchToRead as error:
                raise TooMuch(f"{error}; ask for less time, or for a page by `limit`") from error
            except BadCursor as error:
                # What was asked is not repeated: it may name what others have.
                raise BadRequest(
                    "after: no page gave this cursor; hand back `next` of the page before, whole"
                ) from error
            except Misuse as error:
                raise BadRequest(str(error)) from error

    async def apart(self, work: Callable[[], _T]) -> _T:
        """The work, in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _opened(self) -> "SpotQuery":
        from lake.trail import SpotQuery

        return SpotQuery(self._settings)
