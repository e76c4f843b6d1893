"""A device whose processing is restricted is landed, forgotten by live state, and not written to it again."""

import asyncio
from typing import Any

import numpy as np
import psycopg
import pytest

from ingest.live import RedisLive
from ingest.service.followed_restriction import FollowedRestriction
from ingest.suppression import EVER, Either, HashedSuppression, NoSuppression, accepted_rows, hashed_device
from tests.builders.lake import drive, landing_table
from tests.builders.query import DAY

HIDDEN, SHOWN = "restricted-1", "restricted-not"


@pytest.fixture
def restricted(stack: Any) -> Any:
    settings = stack.settings("ap")
    with psycopg.connect(settings.postgres_dsn.get_secret_value(), autocommit=True) as connection:
        connection.execute("insert into registry.restriction (device_id) values (%s)", [HIDDEN])
        try:
            yield settings
        finally:
            connection.execute("delete from registry.restriction where device_id = %s", [HIDDEN])


def batch() -> Any:
    rows = [row for device in (HIDDEN, SHOWN) for row in drive(device, DAY, 5)]
    return landing_table(rows).combine_chunks().to_batches()[0]


def test_live_state_forgets_it_and_takes_no_record_of_it_until_it_is_lifted(restricted: Any) -> None:
    async def work() -> list[bytes | None]:
        list_of = FollowedRestriction(restricted)
        live = RedisLive.of(restricted, Either(NoSuppression(), list_of))
        try:
            await live.write(batch())
            before = await live.latest(HIDDEN)
            following = asyncio.create_task(list_of.follow(live))
            async with asyncio.timeout(60):
                while await live.latest(HIDDEN) is not None or list_of.empty:
                    await asyncio.sleep(0.05)
            await live.write(batch())
            after = [await live.latest(device) for device in (HIDDEN, SHOWN)]
            following.cancel()
            await live.forget([SHOWN])
            return [before, *after]
        finally:
            await live.close()

    before, hidden, shown = asyncio.run(work())
    assert before is not None
    assert hidden is None
    assert shown is not None


def test_what_is_on_either_list_is_left_out() -> None:
    key = b"k"
    erased = HashedSuppression(key, {hashed_device(key, SHOWN)}, version=3)
    none = NoSuppression()
    both = Either(erased, none)
    assert (both.empty, both.version, Either(none, none).empty) == (False, 3, True)
    assert both.matches([HIDDEN, SHOWN]).tolist() == [False, True]
    assert both.spans(SHOWN) == (EVER,)
    assert set(accepted_rows(both, batch()).column("device_id").to_pylist()) == {HIDDEN}
    assert np.array_equal(Either(none, erased).matches([HIDDEN, SHOWN]), both.matches([HIDDEN, SHOWN]))


def test_while_postgres_is_away_what_was_known_holds_on(restricted: Any) -> None:
    async def work() -> tuple[frozenset[str], frozenset[str], bool]:
        list_of = FollowedRestriction(restricted)
        first = await list_of.read()
        list_of._dsn = "postgresql://nobody@127.0.0.1:1/nowhere"
        return first, await list_of.read(), bool(list_of.matches([HIDDEN])[0])

    first, later, still = asyncio.run(work())
    assert (first, later, still) == (frozenset({HIDDEN}), frozenset(), True)
