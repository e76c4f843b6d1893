"""Sends transactions to Redis pipelined, and reads the replies.

The replies to a transaction are short lines, of which only the last two hold values, so lines are counted, not parsed:
this takes a tenth of the time of the client's parser. If any reply is an error, the same transactions are sent once
more and their replies parsed; every transaction that is sent here may be repeated.
"""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as NotConnected

from ingest.live.resp import Transaction

SENT_TOGETHER = 32
"""Transactions per send, some 3 MB: each send may wait for a turn of a busy event loop. The next group is sent while
replies to the one before are still coming."""
_READ_BYTES = 1 << 16


class Reply(NamedTuple):
    """What write.lua returns."""

    updated: int
    writes: int


class ErrorReply(Exception):
    """One of the replies is an error; the connection cannot be used any more."""


async def send_and_count(
    connection: AbstractConnection, transactions: Iterator[Transaction], within_s: float
) -> list[Reply]:
    """Send all and count the lines of the replies. Raises ErrorReply, TimeoutError and redis' ConnectionError."""
    # The connection has authenticated and has no reply left in its buffer: each read of the client ends with a reply.
    lines = _Lines(connection._reader, within_s)
    replies: list[Reply] = []
    in_flight: list[Transaction] = []
    while group := list(islice(transactions, SENT_TOGETHER)):
        await connection.send_packed_command(list(chain.from_iterable(each.buffers for each in group)))  # type: ignore[misc]
        replies += await lines.replies(in_flight)
        in_flight = group
    return replies + await lines.replies(in_flight)


async def send_and_parse(connection: AbstractConnection, transactions: Iterable[Transaction]) -> list[Reply]:
    """Send one after the other and parse each reply. Raises the first error among the replies."""
    replies = []
    for transaction in transactions:
        await connection.send_packed_command(transaction.buffers)  # type: ignore[arg-type]
        for _ in range(1 + transaction.queued):
            await connection.read_response()
        results: list[Any] = await connection.read_response()
        for result in results:
            if isinstance(result, Exception):
                raise result
        replies.append(Reply(*results[-1]))
    return replies


class _Lines:
    """Reads reply lines from a connection."""

    def __init__(self, reader: asyncio.StreamReader | None, within_s: float) -> None:
        if reader is None:
            raise NotConnected("the connection is closed")
        self._reader = reader
        self._within_s = within_s
        self._held = b""

    async def replies(self, transactions: list[Transaction]) -> list[Reply]:
        """The replies to these: OK, one QUEUED per command, the number of results, the results.

        The last result is write.lua's, two numbers.
        """
        counts = [2 * transaction.queued + 4 for transaction in transactions]
        lines = await self._take(sum(counts))
        replies, end = [], 0
        for count in counts:
            end += count
            replies.append(Reply(int(lines[end - 2][1:]), int(lines[end - 1][1:])))
        return replies

    async def _take(self, count: int) -> list[bytes]:
        missing = count - self._held.count(b"\n")
        while missing > 0:
            async with asyncio.timeout(self._within_s):
                some = await self._reader.read(_READ_BYTES)
            if not some:
                raise NotConnected("the connection was closed before all replies came")
            checked = self._held[-1:] or b"\n"
            self._held += some
            if b"\n-" in checked + some:
                raise ErrorReply
            missing -= some.count(b"\n")
        *lines, self._held = self._held.split(b"\r\n", count)
        return lines
