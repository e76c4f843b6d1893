"""The log, the suppression list, the requests and their reports are held to each other."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from contracts.settings import RegionSettings
from privacy import audit, proof
from privacy.erasure import suppression
from privacy.requests import Request
from tests.builders.audit import past_the_guard
from tests.builders.command import fleetlake
from tests.builders.shelf import OFFICER, erase_from_shelf

TABLES = ("privacy.suppression", "privacy.requests", "privacy.audit")


@contextmanager
def put_right_again(settings: RegionSettings) -> Iterator[psycopg.Connection]:
    """What is done to the tables meanwhile is undone."""
    with psycopg.connect(settings.privacy_dsn.get_secret_value()) as connection:
        for table in TABLES:
            connection.execute(f"create temp table {table.partition('.')[2]} as table {table}".encode())
        connection.commit()
        yield connection
        for table in TABLES:
            kept = f"pg_temp.{table.partition('.')[2]}"
            past_the_guard(connection, f"delete from {table}")
            past_the_guard(connection, f"insert into {table} overriding system value select * from {kept}")


@pytest.fixture(scope="module", autouse=True)
def nothing_of_others(stack) -> Iterator[None]:
    """Tests that empty the databases leave the log, whose requests are gone then: what these tests look for."""
    with put_right_again(stack.settings("ap")) as connection:
        for table in TABLES:
            past_the_guard(connection, f"delete from {table}")
        connection.commit()
        yield


@pytest.fixture
def erased(stack) -> Iterator[tuple[RegionSettings, Request]]:
    """A device that was erased; what a test tampers with is put right again."""
    settings = stack.settings("ap")
    request = erase_from_shelf(settings, f"proof-{uuid.uuid4().hex[:8]}")
    with put_right_again(settings):
        yield settings, request


def tamper(settings: RegionSettings, statement: str) -> None:
    with psycopg.connect(settings.privacy_dsn.get_secret_value()) as connection:
        past_the_guard(connection, statement)


def test_what_is_as_it_was_verifies_also_once_the_device_is_let_in_again(stack):
    settings, device = stack.settings("ap"), f"proof-{uuid.uuid4().hex[:8]}"
    erase_from_shelf(settings, device)
    assert proof.verify(settings).broken is None
    suppression.lift(settings, device, who=OFFICER)
    erase_from_shelf(settings, device)
    assert proof.verify(settings).broken is None


@pytest.mark.parametrize(
    ("statement", "act", "why"),
    [
        ("delete from privacy.suppression where {own}", "erase.suppress", "0 of the 1 entries"),
        ("update privacy.suppression set device_hmac = 'x' where {own}", "erase.suppress", "were changed"),
        ("update privacy.suppression set to_ts = '2001-01-01' where {own}", "erase.suppress", "were changed"),
        ("update privacy.suppression set lifted_at = now() where {own}", None, "no act says so"),
        ("delete from privacy.requests where {own}", "erase.opened", "no more"),
        ("update privacy.requests set evidence = evidence - 'remains' where {own}", "erase.done", "signed"),
        ("update privacy.requests set evidence = null where {own}", "erase.done", "signed"),
    ],
)
def test_what_contradicts_the_log_is_named(erased, statement, act, why):
    settings, request = erased
    assert proof.verify(settings).broken is None
    tamper(settings, statement.format(own=f"request_id = '{request.request_id}'"))
    found = proof.verify(settings)
    assert why in found.why
    row = next(one for one in audit.acts(settings) if one.id == found.broken)
    assert act is None or (row.act, row.request_id) == (act, request.request_id)


def test_an_end_of_the_log_that_was_cut_off_is_found_by_a_report_that_is_kept(erased):
    settings, request = erased
    head = request.evidence["audit_head"]
    tamper(settings, f"delete from privacy.audit where id >= (select id from privacy.audit where hash = '\\x{head}')")
    assert audit.verify(settings).broken is None
    assert "was removed" in proof.verify(settings).why


def test_the_command_holds_the_list_to_the_log(stack, erased):
    settings, request = erased
    tamper(settings, f"delete from privacy.suppression where request_id = '{request.request_id}'")
    done = fleetlake(stack.state, "audit", "verify", "--region", "ap", "--json")
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (1, False)
    assert "suppression list" in json.loads(done.stdout)["why"]
