"""The region's watermark off rows that are not all of one moment."""

from contracts.ledger import LeaseRow, region_watermark_ms


def _row(shard: str, watermark_ms: int, *, ended: bool = False, fence: int = 1, parents: str = "") -> LeaseRow:
    return LeaseRow(shard_id=shard, watermark_ms=watermark_ms, ended=ended, fence=fence, parents=list(parents))


def test_it_is_the_smallest_over_shards_that_have_not_ended() -> None:
    rows = [_row("a", 100, ended=True), _row("b", 500, parents="a"), _row("c", 400, parents="a")]
    assert region_watermark_ms(rows) == 400
    assert region_watermark_ms([]) == 0


def test_an_ended_shard_counts_while_the_row_of_its_child_is_not_seen() -> None:
    assert region_watermark_ms([_row("a", 100, ended=True), _row("c", 400)]) == 100
    assert region_watermark_ms([_row("a", 100, ended=True), _row("b", 500, parents="a"), _row("c", 400)]) == 100


def test_a_merged_shard_seen_before_its_second_parent_ended_counts_with_that_parents_watermark() -> None:
    parents = [_row("a", 300, ended=True), _row("b", 100, ended=True)]
    child = _row("m", 300, fence=0, parents="ab")
    assert region_watermark_ms([*parents, child, _row("c", 400)]) == 100
    taken = _row("m", 350, fence=1, parents="ab")
    assert region_watermark_ms([*parents, taken, _row("c", 400)]) == 350
