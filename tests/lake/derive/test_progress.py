"""Which days are derived, and which rows are passed on, whatever the order in which runs end."""

from datetime import date
from itertools import permutations
from uuid import UUID, uuid4

import pytest

from contracts.settings import RegionSettings
from lake.database import transaction
from lake.derive.progress import DerivationState, begin, derivation_state, due_days, finish
from marts.applied import due_loads, mark_applied
from tests.builders.lake import Landing, fetch

DAY = date(2026, 3, 10)
OLDER, NEWER = 10, 11


@pytest.fixture
def settings(landing: Landing) -> RegionSettings:
    """A region whose day was derived at 9, then changed at 10 and 11."""
    done(landing.settings, uuid4(), 9, derivation_state(landing.settings, [DAY]), changed=True)
    with transaction(landing.settings) as connection:
        connection.execute("insert into ops.changed values (%s, %s)", [DAY, NEWER])
    return landing.settings


def done(settings: RegionSettings, run: UUID, sequence: int, before: DerivationState, *, changed: bool) -> None:
    finish(settings, run, [DAY], {DAY} if changed else set(), sequence, before)


def passed_on(settings: RegionSettings) -> int:
    number: int = fetch(settings, "select rows_sequence from ops.derived where day = %s", DAY)[0][0]
    return number


@pytest.mark.parametrize("order", permutations((OLDER, NEWER)))
@pytest.mark.parametrize("writers", [{OLDER}, {NEWER}, {OLDER, NEWER}])
def test_a_day_that_two_runs_wrote_is_not_newer_than_the_older_of_them(settings, order, writers):
    """Each may have replaced one table that the other found equal: only Iceberg's conflicts a table are excluded."""
    before = derivation_state(settings, [DAY])
    for sequence in order:
        done(settings, uuid4(), sequence, before, changed=sequence in writers)
    assert due_days(settings) == ([] if writers == {NEWER} and order == (OLDER, NEWER) else [DAY])
    done(settings, uuid4(), NEWER, derivation_state(settings, [DAY]), changed=False)
    assert due_days(settings) == []


def test_rows_that_differ_are_passed_on_at_the_same_sequence_too(settings):
    for _ in range(3):
        before = passed_on(settings)
        done(settings, uuid4(), NEWER, derivation_state(settings, [DAY]), changed=True)
        assert passed_on(settings) > before


def test_equal_rows_are_not_passed_on(settings):
    before = passed_on(settings)
    done(settings, uuid4(), NEWER, derivation_state(settings, [DAY]), changed=False)
    assert passed_on(settings) == before


def test_a_day_whose_entry_was_deleted_is_loaded_once_it_is_derived_again(settings):
    with transaction(settings) as connection:
        mark_applied(connection, "staging", DAY, NEWER + 5, 1)
        connection.execute("delete from ops.derived")
    done(settings, uuid4(), NEWER, derivation_state(settings, [DAY]), changed=False)
    assert due_loads(settings) == [DAY]


def test_a_day_that_a_dead_run_began_is_due_until_another_took_it_up(settings):
    done(settings, uuid4(), NEWER, derivation_state(settings, [DAY]), changed=True)
    dead = uuid4()
    begin(settings, dead, [DAY])
    assert due_days(settings) == [DAY]
    taken = derivation_state(settings, [DAY])
    assert taken.suspect == {DAY}
    done(settings, uuid4(), NEWER, taken, changed=True)
    assert due_days(settings) == []
    assert derivation_state(settings, [DAY]).suspect == {DAY}  # it may be slow, not dead
    done(settings, dead, NEWER, taken, changed=True)
    assert derivation_state(settings, [DAY]).suspect == set()


def test_a_run_that_began_after_another_looked_is_not_taken_up_by_it(settings):
    looked = derivation_state(settings, [DAY])
    begin(settings, uuid4(), [DAY])
    done(settings, uuid4(), NEWER, looked, changed=True)
    assert due_days(settings) == [DAY]
