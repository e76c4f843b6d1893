"""Answers to transactions, as they come from a server: in pieces of any size."""

import asyncio
from typing import Any

import pytest
from redis.exceptions import ConnectionError as NotConnected

from ingest.live.pipeline import Answer, ErrorAnswered, counted
from ingest.live.resp import Transaction

TRANSACTIONS = [Transaction([b""], queued) for queued in (1, 3)]
GOOD = (
    b"+OK\r\n+QUEUED\r\n*1\r\n*2\r\n:5\r\n:17\r\n"
    b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n:-1\r\n:0\r\n*2\r\n:0\r\n:18\r\n"
)


class Connection:
    def __init__(self, answers: bytes, piece: int) -> None:
        self._answers, self._piece = answers, piece
        self._reader = asyncio.StreamReader()

    async def send_packed_command(self, _buffers: list[bytes]) -> None:
        for start in range(0, len(self._answers), self._piece):
            self._reader.feed_data(self._answers[start : start + self._piece])
        self._reader.feed_eof()

    async def read(self) -> list[Answer]:
        connection: Any = self
        return await counted(connection, iter(TRANSACTIONS), within_s=1)


def read(answers: bytes, piece: int) -> list[Answer]:
    async def scenario() -> list[Answer]:
        return await Connection(answers, piece).read()

    return asyncio.run(scenario())


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_the_scripts_answers_are_found_by_counting(piece: int) -> None:
    assert read(GOOD, piece) == [Answer(5, 17), Answer(0, 18)]


@pytest.mark.parametrize("piece", [1, 7, 1000])
@pytest.mark.parametrize(
    "answers",
    [
        b"-NOPERM no\r\n-EXECABORT discarded\r\n",
        GOOD.replace(b":0\r\n*2", b"-WRONGTYPE no\r\n*2"),
        GOOD.replace(b"*2\r\n:5\r\n:17", b"-NOSCRIPT no"),
    ],
)
def test_an_error_anywhere_is_seen(answers: bytes, piece: int) -> None:
    with pytest.raises(ErrorAnswered):
        read(answers, piece)


def test_a_connection_that_ends_early_is_not_an_answer() -> None:
    with pytest.raises(NotConnected):
        read(GOOD[:-5], 1000)
