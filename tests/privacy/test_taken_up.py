"""Requests that a killed run left, and two runs at once: one request, one run, and no name left behind."""

import threading
import uuid
from datetime import UTC, datetime

import psycopg
import pytest

from cli.erase import _refuse_another
from cli.requests import _read_report
from contracts.erasable import Portion, Scope
from contracts.errors import Misuse
from marts.erasable import Registry
from marts.holds import holds_on, lift, place
from privacy import audit, requests
from privacy.erasure import evidence, run, suppression
from privacy.erasure.scope import Named
from privacy.requests import Kind, State, SubjectKind
from tests.builders.shelf import OFFICER, Cage, Shelf, erase_from_shelf, stores_of

MARCH, APRIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture
def settings(stack):
    return stack.settings("ap")


@pytest.fixture
def device() -> str:
    return f"up-{uuid.uuid4().hex[:10]}"


def test_two_erasures_of_a_device_at_once_are_one_with_one_report(settings, device):
    shelf, ended, told = Shelf(), [], []
    scope = Scope((Portion(device),))

    def erase() -> None:
        request = run.begin(settings, SubjectKind.DEVICE, device, scope, who=OFFICER)
        ended.append(run.run(settings, request, stores_of(shelf), who=OFFICER, tell=lambda step, _: told.append(step)))

    both = [threading.Thread(target=erase) for _ in range(2)]
    both[0].start()
    assert shelf.entered.wait(60)
    both[1].start()
    both[1].join(1.0)
    assert both[1].is_alive()
    assert "waits" in told[-1]
    shelf.go_on.set()
    for one in both:
        one.join(60)
    assert len({one.request_id for one in ended}) == 1
    assert [one.evidence["hits_before"] for one in ended] == [1, 1]
    said = [act.act for act in audit.acts(settings, ended[0].request_id)]
    assert len(said) == len(set(said))


def test_an_open_erasure_is_not_taken_for_another_of_the_same_name(settings, device):
    scope = Scope((Portion(device, MARCH, APRIL),))
    request = run.begin(settings, SubjectKind.DEVICE, device, scope, who=OFFICER, start=MARCH, end=APRIL)
    assert run.open_erasure(settings, device) == request
    _refuse_another(request, None, MARCH, APRIL)
    for named, start, end in ((None, None, None), (None, MARCH, None), (Named.SUBJECT, MARCH, APRIL)):
        with pytest.raises(Misuse, match="is not done"):
            _refuse_another(request, named, start, end)
    requests.complete(settings, request, who=OFFICER)
    assert run.open_erasure(settings, device) is None


def test_an_export_that_was_killed_is_taken_up_and_an_erasure_takes_its_name(settings, device):
    person = f"person-{device}"
    scope = Scope((Portion(device), Portion("of-nobody-else")), person)

    def opened(name: str, kind: SubjectKind):
        return requests.take_up(settings, Kind.EXPORT, kind, name, who=OFFICER, scope=scope.document())

    own, theirs = opened(device, SubjectKind.DEVICE), opened(person, SubjectKind.SUBJECT)
    assert opened(device, SubjectKind.DEVICE).request_id == own.request_id
    erase_from_shelf(settings, device)
    assert requests.find(settings, own.request_id).state is State.DONE
    assert requests.find(settings, theirs.request_id).subject == person
    with psycopg.connect(settings.privacy_dsn.get_secret_value()) as privacy:
        rows = privacy.execute("select r::text from privacy.requests r").fetchall()
    assert not [row for (row,) in rows if device in row.replace(person, "")]
    requests.complete(settings, theirs, who=OFFICER)


def test_a_hold_that_was_placed_while_an_erasure_ran_stays_on_record(settings, device):
    number = place(settings, "device", device, "a claim", OFFICER)
    scope = Scope((Portion(device),))
    assert holds_on(settings, [device]) == [number]
    with pytest.raises(Misuse, match=f"legal hold {number}"):
        Registry(settings).erase(scope)
    assert Registry(settings).count(scope)["registry.legal_hold"] == 1
    lift(settings, number, OFFICER)
    assert Registry(settings).erase(scope)["registry.legal_hold"] == 1


def test_a_report_that_somebody_wrote_is_not_genuine_whatever_it_has_in_it(settings, tmp_path):
    for signature in ("", "ü" * 64, "\ud800", 7, None):
        assert not evidence.is_genuine(settings, {"what": "erasure", "signature": signature})
    for text in ("[1, 2]", "no JSON", '"text"'):
        (tmp_path / "report.json").write_text(text)
        with pytest.raises(Misuse, match="no report"):
            _read_report(tmp_path / "report.json")


def test_lifting_a_device_leaves_out_what_people_had_erased_before(settings, device):
    suppression.suppress(settings, Scope((Portion(device, MARCH, APRIL),)))
    suppression.suppress(settings, Scope((Portion(device),)))
    suppression.lift(settings, device, who=OFFICER)
    assert [(one.start, one.end) for one in suppression.entries_of(settings, device)] == [(MARCH, APRIL)]
    suppression.lift(settings, device, who=OFFICER)
    assert suppression.entries_of(settings, device) == []


def test_the_report_has_a_canary_that_was_found_before_and_not_after(settings, device):
    cage = Cage()
    done = erase_from_shelf(settings, device, cage)
    assert done.evidence["canary"] == {"cage": {"before": 1, "after": 0}}
    assert (done.evidence["stores"]["cage"], cage.held) == ({"before": 0, "after": 0}, set())
    assert evidence.is_genuine(settings, done.evidence)


def test_a_search_that_does_not_see_its_canary_erases_nothing_and_signs_nothing(settings, device):
    shelf, scope = Shelf(), Scope((Portion(device),))
    request = run.begin(settings, SubjectKind.DEVICE, device, scope, who=OFFICER)
    with pytest.raises(run.SearchBlind, match="cage"):
        run.run(settings, request, stores_of(shelf, Cage(sees=False)), who=OFFICER, tell=lambda *_: None)
    assert shelf.rows == 1
    known = requests.find(settings, request.request_id)
    assert (known.state, known.evidence) == (State.RUNNING, None)
    shelf.go_on.set()
    run.run(settings, request, stores_of(shelf), who=OFFICER, tell=lambda *_: None)


def test_a_report_is_genuine_after_its_request_has_expired(settings, device):
    done = erase_from_shelf(settings, device)
    with psycopg.connect(settings.privacy_dsn.get_secret_value()) as privacy:
        privacy.execute(
            "update privacy.requests set expires_at = now() - interval '1 day' where request_id = %s", [done.request_id]
        )
    empty = Shelf()
    empty.rows = 0
    request = requests.find(settings, done.request_id)
    expired, _ = run.check_again(settings, request, stores_of(empty), Scope((Portion(device),)), who=OFFICER)
    assert (expired.state, expired.evidence["hits_again"]) == (State.EXPIRED, 0)
    assert evidence.is_genuine(settings, expired.evidence)
