"""The log of privacy acts: append-only in the database, and a row changed past it is found."""

import json
from collections.abc import Iterator

import psycopg
import pytest

from contracts.errors import Misuse
from contracts.settings import RegionSettings
from privacy import audit
from privacy.database import transaction
from tests.builders.audit import past_the_guard
from tests.builders.command import fleetlake


@pytest.fixture
def logged(stack) -> Iterator[RegionSettings]:
    """Region af with five acts of its own at the log's end; what a test tampers with is put right again."""
    settings = stack.settings("af")
    with transaction(settings) as connection:
        before = connection.execute("select * from privacy.audit order by id").fetchall()
        for number in range(5):
            audit.append(connection, settings, "test.act", who="officer", detail={"number": number, "share": 0.1})
    yield settings
    with psycopg.connect(settings.privacy_dsn.get_secret_value()) as connection:
        past_the_guard(connection, "delete from privacy.audit")
        for row in before:
            connection.execute("insert into privacy.audit values (%s, %s, %s, %s, %s, %s, %s, %s)", row)


@pytest.mark.parametrize(
    "statement",
    ["update privacy.audit set who = 'x'", "delete from privacy.audit", "truncate privacy.audit"],
)
def test_the_role_that_writes_the_log_can_neither_change_nor_remove_an_act(logged, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege), transaction(logged) as connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("update privacy.audit set who = 'nobody' where id = (select max(id) - 2 from privacy.audit)", "content"),
        ("delete from privacy.audit where id = (select max(id) - 2 from privacy.audit)", "missing"),
        ("update privacy.audit set previous = hash where id = (select max(id) - 2 from privacy.audit)", "chained"),
    ],
)
def test_a_row_that_was_tampered_with_is_named(logged, statement, why):
    sound = audit.verify(logged)
    assert sound.broken is None
    with psycopg.connect(logged.privacy_dsn.get_secret_value()) as connection:
        past_the_guard(connection, statement)
    found = audit.verify(logged)
    assert found.broken in (sound.rows - 2, sound.rows - 1)
    assert why in found.why
    with pytest.raises(audit.AuditBroken, match="does not fit"):
        audit.check(logged)


def test_a_log_whose_end_was_cut_off_is_found_by_a_head_that_was_noted(logged):
    head = audit.verify(logged).head
    assert audit.verify(logged, head).broken is None
    with psycopg.connect(logged.privacy_dsn.get_secret_value()) as connection:
        past_the_guard(connection, "delete from privacy.audit where id = (select max(id) from privacy.audit)")
    assert audit.verify(logged).broken is None
    assert "noted" in audit.verify(logged, head).why


def test_a_row_that_was_put_before_the_first_is_found(logged):
    with psycopg.connect(logged.privacy_dsn.get_secret_value()) as connection:
        connection.execute(
            "insert into privacy.audit (id, at, who, act, detail, previous, hash)"
            " values (-7, now(), 'x', 'hold.lifted', '{}', '\\x00', '\\x00')"
        )
    assert audit.verify(logged).broken == -7


def test_an_act_needs_somebody_who_does_it(logged):
    with pytest.raises(Misuse, match="--who"), transaction(logged) as connection:
        audit.append(connection, logged, "test.act", who=" ")


def test_the_command_says_which_row_does_not_fit(stack, logged):
    def verified() -> tuple[int, dict]:
        done = fleetlake(stack.state, "audit", "verify", "--region", "af", "--json")
        return done.returncode, json.loads(done.stdout)

    code, sound = verified()
    assert (code, sound["ok"]) == (0, True)
    with psycopg.connect(logged.privacy_dsn.get_secret_value()) as connection:
        past_the_guard(connection, f"update privacy.audit set act = 'other' where id = {sound['rows']}")
    code, broken = verified()
    assert (code, broken["first_misfit"]) == (1, sound["rows"])
