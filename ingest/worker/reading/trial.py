"""Tries records in a process of their own, which can be killed: `python -m ingest.worker.reading.trial`.

A record that holds the interpreter, or ends it, cannot be interrupted in the process that decodes it. The child decodes
each record that it is given alone and answers with one byte.
"""

import asyncio
import os
import struct
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol, Self

import numpy as np

from ingest.batch import KinesisRecord
from ingest.decode import JsonDecoder
from ingest.records import Payloads, datas_of

_HEADER = struct.Struct(">I")
_MODULE = "ingest.worker.reading.trial"
_DONE = b"."
_MSGSPEC = "--msgspec"
_START_S = 300.0
_TRIES = 2
"""A verdict sets a record aside, so a busy machine's first answer is asked for once more."""


class Trial(Protocol):
    """Tries records where nothing else can suffer."""

    async def failing(self, records: Sequence[KinesisRecord], within_s: float) -> frozenset[int]:
        """Places of the records that alone take longer than `within_s` to decode, or end the process."""
        ...


class ProcessTrial:
    """A Trial in child processes. Plain records are left out where compiled code reads them, in one pass.

    compiled: whether it does, or msgspec reads all.
    """

    def __init__(self, *, compiled: bool = True) -> None:
        self._compiled = compiled

    async def failing(self, records: Sequence[KinesisRecord], within_s: float) -> frozenset[int]:
        """One child as long as none fails; each failure costs it."""
        plain = _plain(records) if self._compiled else None
        found: set[int] = set()
        child: _Child | None = None
        try:
            for place in [place for place in range(len(records)) if plain is None or not plain[place]]:
                for _ in range(_TRIES):
                    child = child or await _Child.start(compiled=self._compiled)
                    if await child.decodes(records[place].data, within_s):
                        break
                    await child.kill()
                    child = None
                else:
                    found.add(place)
        finally:
            if child is not None:
                await child.kill()
        return frozenset(found)


def _plain(records: Sequence[KinesisRecord]) -> np.ndarray | None:
    from ingest.decode.plain import PlainReader  # loads numba

    columns = PlainReader().read(Payloads.of(datas_of(records)))
    return None if columns is None else columns.plain


class _Child:
    """One process that tries records."""

    def __init__(self, process: Process, records: asyncio.StreamWriter, answers: asyncio.StreamReader) -> None:
        self._process = process
        self._records = records
        self._answers = answers

    @classmethod
    async def start(cls, *, compiled: bool) -> Self:
        """A process that is ready."""
        pipe = asyncio.subprocess.PIPE
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", _MODULE, *([] if compiled else [_MSGSPEC]), stdin=pipe, stdout=pipe, env=environment
        )
        if process.stdin is None or process.stdout is None:
            raise OSError("the process that tries records has no pipes")
        child = cls(process, process.stdin, process.stdout)
        if not await child._answers_within(_START_S):
            await child.kill()
            raise OSError("the process that tries records does not start")
        return child

    async def decodes(self, data: bytes, within_s: float) -> bool:
        """Whether it survives the record, in this time."""
        with suppress(ConnectionError):
            self._records.write(_HEADER.pack(len(data)) + data)
            await self._records.drain()
        return await self._answers_within(within_s)

    async def kill(self) -> None:
        """End it, whatever it does."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _answers_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._answers.read(1) == _DONE
        except TimeoutError:
            return False


def serve() -> None:
    """The child: decodes what comes on its input, until that ends."""
    decoder, arrival_ms = JsonDecoder(plain=_MSGSPEC not in sys.argv[1:]), 0
    _answer()
    while len(header := sys.stdin.buffer.read(_HEADER.size)) == _HEADER.size:
        data = sys.stdin.buffer.read(_HEADER.unpack(header)[0])
        with suppress(Exception):  # what a record raises is found where it counts
            decoder.decode("trial", [KinesisRecord.at(arrival_ms, "1", "k", data)])
        _answer()


def _answer() -> None:
    sys.stdout.buffer.write(_DONE)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
