"""privacy.requests: open with a name, done without, due within a month."""

import uuid
from datetime import timedelta

import pytest

from contracts.errors import Misuse
from privacy import audit, requests
from privacy.database import transaction
from privacy.requests import Kind, State, SubjectKind


@pytest.fixture
def settings(stack):
    return stack.settings("af")


@pytest.fixture
def opened(settings):
    subject = f"dev-{uuid.uuid4().hex}"
    return subject, requests.open_request(settings, Kind.ERASE, SubjectKind.DEVICE, subject, who="officer", scope=[1])


def test_a_request_is_due_within_a_month_and_every_step_is_an_act(settings, opened):
    _, request = opened
    assert timedelta(days=29) < request.due_at - request.created_at <= timedelta(days=30)
    requests.note_step(settings, request, "suppress", {"devices": 1}, who="officer")
    requests.complete(settings, request, who="officer", counts={"hits_after": 0})
    known = requests.find(settings, request.request_id)
    assert (known.state, known.steps["suppress"]["devices"], known.counts) == (State.DONE, 1, {"hits_after": 0})
    said = [act.act for act in audit.acts(settings, request.request_id)]
    assert said == ["erase.opened", "erase.suppress", "erase.done"]
    assert audit.verify(settings).broken is None


def test_a_request_that_is_done_names_nobody_and_is_found_by_who_asks_by_name(settings, opened):
    subject, request = opened
    requests.complete(settings, request, who="officer")
    (found,) = requests.of_subject(settings, subject, Kind.ERASE)
    assert (found.request_id, found.subject, found.scope) == (request.request_id, None, None)
    with transaction(settings) as connection:
        for table in ("privacy.requests", "privacy.audit", "pg_stats"):
            rows = connection.execute(f"select t::text from {table} t").fetchall()
            assert not [row for (row,) in rows if subject in row]


def test_completing_twice_is_one_act(settings, opened):
    _, request = opened
    first = requests.complete(settings, request, who="officer")
    assert requests.complete(settings, request, who="officer") == first
    assert [act.act for act in audit.acts(settings, request.request_id)].count("erase.done") == 1


def test_an_unknown_request_is_misuse(settings):
    with pytest.raises(Misuse, match="no request"):
        requests.find(settings, uuid.uuid4())
