"""Connections to the region's Postgres that are kept and used again, one for each thread that asks."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import psycopg

from contracts.outages import store_of
from contracts.settings import RegionSettings

_T = TypeVar("_T")
_CONNECT_S = 5


class Postgres:
    """Answers questions over kept connections. Safe to share between threads.

    A kept connection that the server has closed meanwhile is replaced; a question is asked a second time then, so it
    must only read.
    """

    def __init__(self, settings: RegionSettings) -> None:
        self._dsn = settings.postgres_dsn
        self._silent_ms = int(settings.store_timeout_s * 1000)
        self._idle: list[psycopg.Connection[Any]] = []
        self._lock = threading.Lock()
        self._closed = False

    def ask(self, question: Callable[[psycopg.Connection[Any]], _T]) -> _T:
        """What the question returns. Raises psycopg.OperationalError where Postgres is away."""
        while (kept := self._take()) is not None:
            try:
                return self._answered(kept, question)
            except psycopg.OperationalError as error:
                if store_of(error) is None:
                    raise
        return self._answered(self._connect(), question)

    def close(self) -> None:
        """Close the connections; those that are in use are closed as they come back."""
        with self._lock:
            self._closed = True
        while (kept := self._take()) is not None:
            kept.close()

    def _answered(self, connection: psycopg.Connection[Any], question: Callable[[psycopg.Connection[Any]], _T]) -> _T:
        try:
            answer = question(connection)
        except BaseException:
            with suppress(psycopg.Error):
                connection.close()
            raise
        self._put_back(connection)
        return answer

    def _take(self) -> psycopg.Connection[Any] | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _put_back(self, connection: psycopg.Connection[Any]) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            self._dsn.get_secret_value(),
            autocommit=True,
            connect_timeout=_CONNECT_S,
            tcp_user_timeout=self._silent_ms,
        )
