"""The promises of leases and ledger, over the memory double and the real table."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from contracts.errors import LeaseLost, PositionMoved
from contracts.ledger import LANDED, STREAM_ROW, LandedObject, LeaseRow, LedgerEntry
from ingest.leases import protocol
from ingest.leases.dynamodb import DynamoLeases
from ingest.leases.memory import MemoryLeases
from ingest.leases.protocol import Leases, entries_by_page, entries_from_the_newest

Story = Callable[[Leases, str], Awaitable[None]]
Tell = Callable[[Story], None]


@pytest.fixture(params=["memory", "dynamodb"])
def tell(request: pytest.FixtureRequest) -> Iterator[Tell]:
    """Runs a story over an implementation; the text is a prefix that keeps its shards apart from others'."""
    settings = request.getfixturevalue("apart") if request.param == "dynamodb" else None
    prefix = uuid.uuid4().hex[:8]

    async def told(story: Story) -> None:
        leases: Any = MemoryLeases()
        if settings is not None:
            leases = DynamoLeases(settings.region, settings.row.aws_region, settings.dynamodb)
        try:
            await story(leases, prefix)
        finally:
            for row in await leases.rows():
                if row.shard_id.startswith(prefix):
                    await _erase(leases, row)
            if isinstance(leases, DynamoLeases):
                key = {"TableName": leases._leases, "Key": {"shard_id": {"S": STREAM_ROW}}}
                await leases._wire.conditionally("DeleteItem", key)
            await leases.close()

    yield lambda story: asyncio.run(told(story))


async def _erase(leases: Leases, row: LeaseRow) -> None:
    """Tests share the table: leave no row that a consumer would read."""
    if not row.ended:
        taken = await leases.take(row, "cleaner")
        assert taken is not None
        await leases.commit(taken, None, children=[])
    await leases.remove(row)


def _entry(lease: LeaseRow, last_seq: str, watermark_ms: int = 0, **more: Any) -> LedgerEntry:
    landed = LandedObject(key=f"k-{last_seq}", kind=LANDED, hour_ms=0, rows=1, bytes=1, sha256="")
    whole: dict[str, Any] = {
        "shard_id": lease.shard_id, "after_seq": lease.position, "last_seq": last_seq, "fence": lease.fence,
        "worker": lease.owner, "committed_ms": 1, "kinesis_records": 1, "user_records": 1, "landed": 1,
        "rejected": {}, "suppressed": 0, "watermark_ms": watermark_ms, "objects": [landed],
    }  # fmt: skip
    return LedgerEntry(**{**whole, **more})


async def _taken(leases: Leases, shard: str, worker: str = "one") -> LeaseRow:
    await leases.insert([LeaseRow(shard_id=shard)])
    lease = await leases.take(await _row(leases, shard), worker)
    assert lease is not None
    return lease


async def _row(leases: Leases, shard: str) -> LeaseRow:
    return next(row for row in await leases.rows() if row.shard_id == shard)


def test_insert_never_changes_a_row_that_is_there(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        lease = await _taken(leases, shard)
        await leases.insert([LeaseRow(shard_id=shard, watermark_ms=9, position="9")])
        assert await _row(leases, shard) == lease

    tell(story)


def test_of_sixteen_who_race_for_a_shard_one_gets_it(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        await leases.insert([LeaseRow(shard_id=shard)])
        seen = await _row(leases, shard)
        taken = await asyncio.gather(*(leases.take(seen, f"w{number}") for number in range(16)))
        (winner,) = [lease for lease in taken if lease is not None]
        assert (winner.fence, winner.owner) == (1, (await _row(leases, shard)).owner)

    tell(story)


def test_each_take_raises_the_fence_and_a_heartbeat_spoils_a_take(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        first = await _taken(leases, shard)
        await leases.renew(first, records_per_s=1.5, bytes_per_s=300, live_seq="7")
        assert await leases.take(first, "two") is None
        seen = await _row(leases, shard)
        second = await leases.take(seen, "two")
        assert second is not None
        assert (second.fence, second.owner, second.records_per_s, second.live_seq) == (2, "two", 1.5, "7")

    tell(story)


def test_a_stale_owner_can_do_nothing(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        stale = await _taken(leases, shard)
        assert await leases.take(stale, "two") is not None
        before = await _row(leases, shard)
        for forbidden in (
            leases.renew(stale, records_per_s=0, bytes_per_s=0, live_seq=""),
            leases.advance(stale, 99),
            leases.release(stale, live_seq=""),
            leases.commit(stale, _entry(stale, "10")),
            leases.commit(stale, None, children=[]),
        ):
            with pytest.raises(LeaseLost):
                await forbidden
        assert await _row(leases, shard) == before
        assert await leases.entries(shard) == []

    tell(story)


def test_a_commit_moves_position_and_watermark_and_lists_the_entry(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        lease = await _taken(leases, shard)
        first = _entry(lease, "99", 500)
        lease = await leases.commit(lease, first)
        second = _entry(lease, "100", 400, suppression_version=3)
        lease = await leases.commit(lease, second)
        row = await _row(leases, shard)
        assert (row.position, row.watermark_ms, row.suppression_version) == ("100", 500, 3)
        assert (lease.position, lease.watermark_ms) == ("100", 500)
        assert await leases.entries(shard) == [first, second]
        assert await leases.entries(shard, after="99") == [second]
        assert await leases.entries(shard, most=1) == [first]
        assert await leases.entries(shard, after="99", most=5) == [second]
        assert (await leases.shards()).count(shard) == 1
        assert await leases.find(shard, "100") == second
        assert await leases.find(shard, "101") is None

    tell(story)


def test_a_commit_from_another_position_changes_nothing(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        old = await _taken(leases, shard)
        await leases.commit(old, _entry(old, "50"))
        before = await _row(leases, shard)
        with pytest.raises(PositionMoved):
            await leases.commit(old, _entry(old, "60"))
        moved = replace(old, position="49")
        with pytest.raises(PositionMoved):
            await leases.commit(moved, _entry(moved, "60"))
        assert await _row(leases, shard) == before
        assert [entry.last_seq for entry in await leases.entries(shard)] == ["50"]

    tell(story)


def test_a_watermark_never_goes_backwards(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        lease = await _taken(leases, shard)
        assert (await leases.advance(lease, 700)).watermark_ms == 700
        assert (await leases.advance(lease, 600)).watermark_ms == 700
        with pytest.raises(PositionMoved):
            await leases.commit(lease, _entry(lease, "5", 650))
        assert (await _row(leases, shard)).watermark_ms == 700
        current = await _row(leases, shard)
        assert (await leases.commit(current, _entry(current, "5", 650))).watermark_ms == 700

    tell(story)


def test_the_end_of_a_shard_gives_its_children_rows_in_the_same_step(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        lease = await _taken(leases, shard)
        children = [LeaseRow(shard_id=f"{shard}-{side}", parents=[shard], watermark_ms=800) for side in "ab"]
        lease = await leases.commit(lease, _entry(lease, "9", 800), children=children)
        assert lease.ended
        row = await _row(leases, shard)
        assert (row.ended, row.owner, row.position) == (True, None, "9")
        assert [await _row(leases, child.shard_id) for child in children] == children
        assert await leases.take(row, "two") is None
        with pytest.raises(LeaseLost):
            await leases.commit(lease, _entry(lease, "10"))

    tell(story)


def test_a_merged_shard_starts_at_the_smaller_watermark(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        parents = [await _taken(leases, f"{shard}-{side}") for side in "ab"]
        names = [parent.shard_id for parent in parents]
        for parent, watermark_ms in zip(parents, (900, 300), strict=True):
            child = LeaseRow(shard_id=f"{shard}-c", parents=names, watermark_ms=watermark_ms)
            await leases.commit(parent, _entry(parent, "9", watermark_ms), children=[child])
        assert (await _row(leases, f"{shard}-c")).watermark_ms == 300

    tell(story)


def test_a_hand_over_is_asked_for_once_and_released_to_the_one_who_asked(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        lease = await _taken(leases, shard)
        assert await leases.ask(lease, "two")
        assert not await leases.ask(lease, "three")
        assert (await leases.renew(lease, records_per_s=0, bytes_per_s=0, live_seq="")).wanted_by == "two"
        await leases.release(lease, live_seq="8", to="two")
        row = await _row(leases, shard)
        assert (row.owner, row.wanted_by, row.live_seq) == (None, "two", "8")
        taken = await leases.take(row, "two")
        assert taken is not None
        assert (taken.fence, taken.wanted_by) == (2, None)

    tell(story)


def test_only_ended_shards_are_forgotten(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        lease = await _taken(leases, shard)
        await leases.remove(lease)
        assert await _row(leases, shard) == lease
        ended = await leases.commit(lease, None, children=[])
        await leases.remove(ended)
        assert shard not in [row.shard_id for row in await leases.rows()]

    tell(story)


def test_the_watermark_of_a_child_that_was_taken_stays(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        one, child = await _taken(leases, shard + "-1"), shard + "-3"
        await leases.commit(one, _entry(one, "10", 900), children=[LeaseRow(shard_id=child, watermark_ms=900)])
        taken = await leases.take(await _row(leases, child), "two")
        other = await _taken(leases, shard + "-2")
        await leases.commit(other, _entry(other, "11", 300), children=[LeaseRow(shard_id=child, watermark_ms=300)])
        assert taken is not None
        assert (await _row(leases, child)).watermark_ms == 900
        assert (await _row(leases, shard + "-2")).ended

    tell(story)


def test_a_loss_stays_with_the_lease_until_an_entry_tells_it(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        lease = await _taken(leases, shard)
        assert (await leases.advance(replace(lease, lost=True), 500)).lost
        heir = await leases.take(await _row(leases, shard), "two")
        assert heir is not None
        assert heir.lost
        heir = await leases.commit(heir, _entry(heir, "10", 600))
        assert heir.lost
        heir = await leases.commit(heir, _entry(heir, "11", 600, lost=True))
        assert not heir.lost
        assert not (await _row(leases, shard)).lost

    tell(story)


def test_the_end_of_a_shard_notes_how_far_live_state_was(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        lease = await _taken(leases, shard)
        await leases.commit(replace(lease, live_seq="9"), _entry(lease, "10"), children=[])
        ended = await _row(leases, shard)
        assert (ended.ended, ended.live_seq, ended.position) == (True, "9", "10")

    tell(story)


def test_the_leases_are_of_the_first_stream_that_is_noted_until_they_are_moved(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        await leases.insert([LeaseRow(shard_id=shard)])
        assert await leases.stream_created_ms(1_000) == 1_000
        assert await leases.stream_created_ms(2_000) == 1_000
        assert not await leases.belong_to(3_000, instead_of=2_000)
        assert await leases.belong_to(3_000, instead_of=1_000)
        assert await leases.stream_created_ms(2_000) == 3_000
        assert shard in [row.shard_id for row in await leases.rows()]
        assert STREAM_ROW not in [row.shard_id for row in await leases.rows()]

    tell(story)


def test_a_restarted_row_is_the_new_one_and_its_former_owner_can_do_nothing(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        lease = await _taken(leases, shard)
        lease = await leases.commit(lease, _entry(lease, "5"))
        seen = await _row(leases, shard)
        anew = replace(seen, owner=None, fence=seen.fence + 1, heartbeat=seen.heartbeat + 1, earlier_seq="5")
        assert not await leases.restart(replace(seen, heartbeat=seen.heartbeat - 1), anew)
        assert await leases.restart(seen, anew)
        assert await _row(leases, shard) == anew
        assert (anew.position, anew.read_position) == ("5", "")
        with pytest.raises(LeaseLost):
            await leases.commit(lease, _entry(lease, "6"))
        taken = await leases.take(anew, "two")
        assert taken is not None
        after = await leases.commit(taken, _entry(taken, "7"))
        assert (after.earlier_seq, after.read_position) == ("5", "7")
        assert (await _row(leases, shard)).read_position == "7"

    tell(story)


def test_what_makes_it_worth_while_to_read_all_rows_is_counted(tell: Tell) -> None:
    async def story(leases: Leases, shard: str) -> None:
        await leases.stream_created_ms(7)
        seen = [await leases.changes()]
        lease = await _taken(leases, shard)
        seen.append(await leases.changes())
        lease = await leases.renew(lease, records_per_s=0, bytes_per_s=0, live_seq="")
        lease = await leases.commit(lease, _entry(lease, "5"))
        assert await leases.changes() == seen[-1], "each owner sees to these by itself"
        await leases.release(lease, live_seq="")
        seen.append(await leases.changes())
        taken = await leases.take(await _row(leases, shard), "two")
        assert taken is not None
        await leases.commit(taken, None, children=[])
        seen.append(await leases.changes())
        assert len(set(seen)) == 4
        assert None not in seen

    tell(story)


def test_a_shard_of_many_entries_is_read_by_the_page(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "ENTRIES_A_PAGE", 2)

    async def story(leases: Leases, shard: str) -> None:
        lease, pages = await _taken(leases, shard), list[int]()
        for number in range(1, 6):
            lease = await leases.commit(lease, _entry(lease, str(number)))

        async def ask(call: Callable[[], Awaitable[list[LedgerEntry]]]) -> list[LedgerEntry]:
            page = await call()
            pages.append(len(page))
            return page

        found = [entry async for entry in entries_by_page(leases, shard, "1", ask=ask)]
        assert [entry.last_seq for entry in found] == ["2", "3", "4", "5"]
        assert pages == [2, 2, 0]
        assert [entry.last_seq async for entry in entries_from_the_newest(leases, shard)] == ["5", "4", "3", "2", "1"]
        assert [entry.last_seq for entry in await leases.entries_before(shard, "4", most=2)] == ["3", "2"]

    tell(story)
