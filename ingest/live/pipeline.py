"""Transactions on their way to Redis, many at once, and what it answers.

A transaction's answers are short lines of which one says something, so lines are counted instead of parsed; a tenth of
the time that a client's parser takes. Where any of them is an error, the same is sent once more and parsed: whatever
is sent here may be repeated.
"""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as NotConnected

from ingest.live.resp import Transaction

SENT_TOGETHER = 32
"""Transactions in one send, some 3 MB: each send may wait for a turn of the event loop, which others keep busy. While
one lot is being answered the next is sent."""
_READ_BYTES = 1 << 16


class Answer(NamedTuple):
    """What write.lua answers."""

    updated: int
    writes: int


class ErrorAnswered(Exception):
    """One of the answers is an error; the connection cannot be used any more."""


async def counted(connection: AbstractConnection, transactions: Iterator[Transaction], within_s: float) -> list[Answer]:
    """Send all and count the lines of their answers. Raises ErrorAnswered, TimeoutError and redis' ConnectionError."""
    # The client's own connection has signed in, and has read nothing ahead: each of its reads ends with an answer.
    lines = _Lines(connection._reader, within_s)
    answers: list[Answer] = []
    on_the_way: list[Transaction] = []
    while lot := list(islice(transactions, SENT_TOGETHER)):
        await connection.send_packed_command(list(chain.from_iterable(each.buffers for each in lot)))  # type: ignore[misc]
        answers += await lines.answers(on_the_way)
        on_the_way = lot
    return answers + await lines.answers(on_the_way)


async def parsed(connection: AbstractConnection, transactions: Iterable[Transaction]) -> list[Answer]:
    """Send one after the other and read each answer. Raises the first error that is answered."""
    answers = []
    for transaction in transactions:
        await connection.send_packed_command(transaction.buffers)  # type: ignore[arg-type]
        for _ in range(1 + transaction.queued):
            await connection.read_response()
        results: list[Any] = await connection.read_response()
        for result in results:
            if isinstance(result, Exception):
                raise result
        answers.append(Answer(*results[-1]))
    return answers


class _Lines:
    """The lines that come on a connection."""

    def __init__(self, reader: asyncio.StreamReader | None, within_s: float) -> None:
        if reader is None:
            raise NotConnected("the connection is closed")
        self._reader = reader
        self._within_s = within_s
        self._held = b""

    async def answers(self, transactions: list[Transaction]) -> list[Answer]:
        """The answers to these: OK, QUEUED each, then how many results, the results, and two numbers of the last."""
        counts = [2 * transaction.queued + 4 for transaction in transactions]
        lines = await self._take(sum(counts))
        answers, end = [], 0
        for count in counts:
            end += count
            answers.append(Answer(int(lines[end - 2][1:]), int(lines[end - 1][1:])))
        return answers

    async def _take(self, count: int) -> list[bytes]:
        missing = count - self._held.count(b"\n")
        while missing > 0:
            async with asyncio.timeout(self._within_s):
                some = await self._reader.read(_READ_BYTES)
            if not some:
                raise NotConnected("the connection was closed before all was answered")
            checked = self._held[-1:] or b"\n"
            self._held += some
            if b"\n-" in checked + some:
                raise ErrorAnswered
            missing -= some.count(b"\n")
        *lines, self._held = self._held.split(b"\r\n", count)
        return lines
