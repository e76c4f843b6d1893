"""P9 under fire: what devices were told is on the stream is in history once, whatever broke around the gateway."""

import pytest

from bench.access.fire import Plan, burn, check
from bench.one_region import stack_of_one_region

SMALL = Plan(devices=100, records_s=20, calm_s=2, trouble_s=6, stream_away_s=12)


@pytest.mark.long
def test_every_acknowledged_record_is_in_history_once() -> None:
    with stack_of_one_region(shards=2) as state:
        outcome = burn(state, SMALL)
    check(outcome)
    assert outcome.acknowledged > 1_000
    assert outcome.on_stream > outcome.acknowledged, "no record came twice: the fire was none"
    assert outcome.kills >= 5
    assert outcome.cuts > 10
    assert outcome.puts_hurt > 10
    assert outcome.went_on > 0.5
