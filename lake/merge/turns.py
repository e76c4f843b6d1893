"""Merges and erasures take turns: landing objects are not rewritten while a merge reads them.

Held as an advisory lock of a connection of its own, so that a killed process lets go.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from contracts.errors import CommitConflict
from contracts.settings import LakeSettings
from lake.database import transaction

_LOCK = "hashtext('fleetlake.merging')"
MOST_WAIT_S = 1_800


@contextmanager
def merging(settings: LakeSettings) -> Iterator[None]:
    """Beside other merges, not beside an erasure."""
    with _held(settings, "_shared", MOST_WAIT_S):
        yield


@contextmanager
def no_merge(settings: LakeSettings, within_s: int = MOST_WAIT_S) -> Iterator[None]:
    """Once the merges that run now have ended, and before the next begins. Raises CommitConflict after `within_s`."""
    with _held(settings, "", within_s):
        yield


@contextmanager
def _held(settings: LakeSettings, kind: str, within_s: int) -> Iterator[None]:
    with transaction(settings) as connection:
        connection.autocommit = True
        connection.execute(f"set lock_timeout = '{within_s}s'".encode())
        try:
            connection.execute(f"select pg_advisory_lock{kind}({_LOCK})".encode())
        except psycopg.errors.LockNotAvailable:
            what = "a merge" if not kind else "an erasure"
            why = f"{what} of region {settings.region} still runs after {within_s} s; try later"
            raise CommitConflict(why) from None
        try:
            yield
        finally:
            with suppress(psycopg.Error):  # the server may notice a closed connection a moment later
                connection.execute(f"select pg_advisory_unlock{kind}({_LOCK})".encode())
