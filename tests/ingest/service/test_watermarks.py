"""The copy of the watermarks in Postgres: what several workers that copy at once, from old rows too, may not break."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import psycopg
import pytest

from contracts.ledger import LeaseRow
from contracts.settings import RegionSettings
from ingest.service.watermarks import copy_watermarks


class Copy:
    """ops.watermarks of a region of its own."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def copy(self, *rows: LeaseRow, age_s: float = 0.0) -> bool:
        return copy_watermarks(self.dsn, rows, age_s=age_s)

    def run(self, sql: str) -> None:
        with psycopg.connect(self.dsn) as connection:
            connection.execute(sql)

    def shards(self) -> dict[str, tuple[str, int, bool]]:
        """Position, watermark in epoch milliseconds, and whether it ended, by shard."""
        with psycopg.connect(self.dsn) as connection:
            found = connection.execute("select shard_id, position, watermark, ended from ops.watermarks").fetchall()
        return {shard: (position, _ms(watermark), ended) for shard, position, watermark, ended in found}


def _ms(moment: datetime) -> int:
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


def _row(shard: str, position: str, watermark_ms: int, *, ended: bool = False) -> LeaseRow:
    return LeaseRow(shard_id=shard, position=position, watermark_ms=watermark_ms, ended=ended)


@pytest.fixture
def copied(apart: RegionSettings) -> Iterator[Copy]:
    """An empty table, before and after."""
    found = Copy(apart.postgres_dsn.get_secret_value())
    found.run("delete from ops.watermarks")
    yield found
    found.run("delete from ops.watermarks")


def test_rows_read_before_a_shard_was_found_do_not_delete_it(copied: Copy) -> None:
    assert copied.copy(_row("old", "5", 1_000), _row("new", "", 900))
    assert copied.copy(_row("old", "5", 1_000), age_s=20)
    assert set(copied.shards()) == {"old", "new"}


def test_older_rows_take_nothing_back(copied: Copy) -> None:
    assert copied.copy(_row("s", "10", 2_000, ended=True))
    assert copied.copy(_row("s", "9", 1_000), age_s=5)
    assert copied.shards() == {"s": ("10", 2_000, True)}


def test_a_shard_is_deleted_once_nobody_has_read_it_for_a_minute(copied: Copy) -> None:
    assert copied.copy(_row("gone", "5", 1_000, ended=True), _row("s", "5", 1_000))
    copied.run("update ops.watermarks set updated_at = updated_at - interval '50 seconds'")
    assert copied.copy(_row("s", "6", 2_000))
    assert set(copied.shards()) == {"gone", "s"}
    copied.run("update ops.watermarks set updated_at = updated_at - interval '20 seconds' where shard_id = 'gone'")
    assert copied.copy(_row("s", "6", 2_000))
    assert set(copied.shards()) == {"s"}


def test_rows_read_half_a_minute_ago_are_not_copied(copied: Copy) -> None:
    assert copied.copy(_row("s", "5", 1_000))
    assert not copied.copy(_row("s", "6", 2_000), _row("removed", "1", 500), age_s=31)
    assert copied.shards() == {"s": ("5", 1_000, False)}


def test_two_workers_that_copy_at_once_leave_the_greatest_of_both(copied: Copy) -> None:
    rounds, together = 20, Barrier(2)

    def worker(place: int) -> list[bool]:
        """Copies all shards, of which this worker knows every second one better, and one that the other never reads."""
        done = []
        for number in range(1, rounds + 1):
            together.wait(timeout=30)
            rows = [_row(f"s{shard}", str(number), 1_000 * number - 500 * ((shard + place) % 2)) for shard in range(8)]
            rows = rows if place else rows[::-1]
            done.append(copied.copy(*rows, _row(f"only-{place}", str(number), number), age_s=10.0 * place))
        return done

    with ThreadPoolExecutor(2) as pool:
        results = [result for done in pool.map(worker, (0, 1)) for result in done]
    assert all(results)
    expected = {f"s{shard}": (str(rounds), 1_000 * rounds, False) for shard in range(8)}
    expected |= {f"only-{place}": (str(rounds), rounds, False) for place in (0, 1)}
    assert copied.shards() == expected
