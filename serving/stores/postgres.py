"""Questions to a Postgres database over a small pool. Every question has a time limit."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.errors import DataError, UndefinedFunction, UndefinedTable
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from contracts.outages import POSTGRES
from serving.problems import BadRequest, StoreAway
from serving.stores.away import naming_the_store

_MOST_CONNECTIONS = 8
_CONNECT_S = 5
_MARTS = '"marts.'
Row = dict[str, Any]
Values = Sequence[Any] | Mapping[str, Any]


class Postgres:
    """A pool that opens connections as they are needed, and replaces those that break."""

    def __init__(self, dsn: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        timeout_ms = int(timeout_s * 1000)
        self._asking: set[asyncio.Task[list[Row]]] = set()
        self._pool: AsyncConnectionPool[AsyncConnection[Row]] = AsyncConnectionPool(
            dsn,
            min_size=0,
            max_size=_MOST_CONNECTIONS,
            timeout=timeout_s,
            open=False,
            check=AsyncConnectionPool.check_connection,
            reconnect_timeout=_CONNECT_S,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "connect_timeout": _CONNECT_S,
                "tcp_user_timeout": timeout_ms,
                "options": f"-c statement_timeout={timeout_ms} -c timezone=UTC",
            },
        )

    async def open(self) -> None:
        """Begin; no connection is made yet."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close(timeout=1)

    async def rows(self, question: str, values: Values = ()) -> list[Row]:
        """What it answers. A table that is not there yet (marts before their first run) has no rows.

        Raises StoreAway.
        """
        try:
            return await self._asked(question, values)
        except UndefinedTable as error:
            if _MARTS in str(error):
                return []
            raise _behind() from error

    async def do(self, statement: str, values: Values = ()) -> None:
        """Run a statement. Raises StoreAway."""
        try:
            await self._asked(statement, values)
        except (UndefinedTable, UndefinedFunction) as error:
            raise _behind() from error

    async def _asked(self, question: str, values: Values) -> list[Row]:
        """What it answers within twice the time limit.

        A question that is cancelled waits for Postgres once more, up to 10 s, to get its connection back in order. The
        request does not: it is answered, and the question ends by itself.
        """
        asking = asyncio.create_task(self._on_a_connection(question, values))
        self._asking.add(asking)
        asking.add_done_callback(self._ended)
        with naming_the_store(POSTGRES):
            try:
                done, _ = await asyncio.wait({asking}, timeout=2 * self._timeout_s)
            except asyncio.CancelledError:
                asking.cancel()
                raise
            if not done:
                asking.cancel()
                raise TimeoutError
            return asking.result()

    def _ended(self, asking: "asyncio.Task[list[Row]]") -> None:
        self._asking.discard(asking)
        if not asking.cancelled():
            # Read, so that asyncio does not report the error of a question that nobody waits for.
            asking.exception()

    async def _on_a_connection(self, question: str, values: Values) -> list[Row]:
        async with self._pool.connection() as connection:
            try:
                cursor = await connection.execute(question, values)
            except DataError as error:
                raise BadRequest("a parameter has a character or a number that no stored value can have") from error
            return [] if cursor.description is None else await cursor.fetchall()


def _behind() -> StoreAway:
    """The service is newer than the database's schemas."""
    return StoreAway(
        "Postgres lacks tables of this version; apply contracts.ddl, as `fleetlake up` does", retry_after_s=60
    )
