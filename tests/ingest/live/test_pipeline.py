"""Answers to transactions, as they come from a server: in pieces of any size."""

import asyncio
from typing import Any

import pytest
from redis.exceptions import ConnectionError as NotConnected

from ingest.live.pipeline import ErrorReply, Reply, send_and_count
from ingest.live.resp import Transaction

TRANSACTIONS = [Transaction([b""], queued) for queued in (1, 3)]
GOOD = (
    b"+OK\r\n+QUEUED\r\n*1\r\n*2\r\n:5\r\n:17\r\n"
    b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n:-1\r\n:0\r\n*2\r\n:0\r\n:18\r\n"
)


class Connection:
    def __init__(self, replies: bytes, piece: int) -> None:
        self._answers, self._piece = replies, piece
        self._reader = asyncio.StreamReader()

    async def send_packed_command(self, _buffers: list[bytes]) -> None:
        for start in range(0, len(self._answers), self._piece):
            self._reader.feed_data(self._answers[start : start + self._piece])
        self._reader.feed_eof()

    async def read(self) -> list[Reply]:
        connection: Any = self
        return await send_and_count(connection, iter(TRANSACTIONS), within_s=1)


def read(replies: bytes, piece: int) -> list[Reply]:
    async def scenario() -> list[Reply]:
        return await Connection(replies, piece).read()

    return asyncio.run(scenario())


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_the_scripts_answers_are_found_by_counting(piece: int) -> None:
    assert read(GOOD, piece) == [Reply(5, 17), Reply(0, 18)]


@pytest.mark.parametrize("piece", [1, 7, 1000])
@pytest.mark.parametrize(
    "replies",
    [
        b"-NOPERM no\r\n-EXECABORT discarded\r\n",
        GOOD.replace(b":0\r\n*2", b"-WRONGTYPE no\r\n*2"),
        GOOD.replace(b"*2\r\n:5\r\n:17", b"-NOSCRIPT no"),
    ],
)
def test_an_error_anywhere_is_seen(replies: bytes, piece: int) -> None:
    with pytest.raises(ErrorReply):
        read(replies, piece)


def test_a_connection_that_ends_early_is_not_an_answer() -> None:
    with pytest.raises(NotConnected):
        read(GOOD[:-5], 1000)
