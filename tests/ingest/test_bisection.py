"""Bisection finds each item that breaks a step, and no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.bisection import Bisection


@given(st.lists(st.booleans(), max_size=40))
def test_broken_items_are_found_alone_and_the_others_done_in_order(broken: list[bool]) -> None:
    order: list[int] = []
    found: list[int] = []
    for start, stop in (ranges := Bisection(len(broken))):
        try:
            assert not any(broken[start:stop])
            order += range(start, stop)
        except AssertionError as error:
            if ranges.alone(error):
                found.append(start)
                order.append(start)
    assert found == [place for place, breaks in enumerate(broken) if breaks]
    assert order == list(range(len(broken)))


def test_a_single_item_that_finds_no_memory_is_not_to_blame() -> None:
    with pytest.raises(MemoryError):
        for _ in (ranges := Bisection(2)):
            ranges.alone(MemoryError())
