"""Whom a request means: times as the region has them, odd names, and people without devices."""

import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pyarrow as pa
import pytest

from cli.acts import meant_as, moment_of
from contracts.erasable import Needles, Portion, Scope
from contracts.errors import Misuse
from contracts.names import HISTORY_TABLE
from contracts.registry import Device, Fleet
from lake.erase.meant import condition
from marts.rectification import rectify
from marts.registry import register
from privacy.erasure.scope import Named, scope_of, whole_ms
from privacy.requests import SubjectKind

BERLIN = ZoneInfo("Europe/Berlin")
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_bound_within_a_millisecond_is_the_next_whole_one_in_every_store(stack):
    third = MARCH + timedelta(microseconds=333_333)
    assert whole_ms(third) == MARCH + timedelta(milliseconds=334)
    assert whole_ms(MARCH) == MARCH
    _, scope = scope_of(stack.settings("ap"), "van-1", start=MARCH, end=third)
    assert scope.portions == (Portion("van-1", MARCH, MARCH + timedelta(milliseconds=334)),)


def test_a_day_is_the_regions_and_a_time_has_an_offset():
    assert moment_of("2026-03-01", BERLIN) == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert moment_of("2026-03-01T06:00:00+01:00", BERLIN) == datetime(2026, 3, 1, 5, tzinfo=UTC)
    for text in ("2026-03-01T06:00:00", "2026-13-01", "yesterday"):
        with pytest.raises(Misuse):
            moment_of(text, BERLIN)


def test_a_person_without_devices_is_a_name_and_one_that_nobody_knows_is_misuse(stack):
    settings, person = stack.settings("ap"), f"person-{uuid.uuid4().hex[:8]}"
    with pytest.raises(Misuse, match="no such person"):
        scope_of(settings, person, Named.SUBJECT)
    with psycopg.connect(settings.postgres_dsn.get_secret_value()) as fleet:
        fleet.execute("insert into registry.subject values (%s)", [person])
    try:
        assert scope_of(settings, person) == (SubjectKind.SUBJECT, Scope((), person))
        with pytest.raises(Misuse, match="leave out --from"):
            scope_of(settings, person, start=MARCH)
    finally:
        with psycopg.connect(settings.postgres_dsn.get_secret_value()) as fleet:
            fleet.execute("delete from registry.subject where subject_id = %s", [person])


def test_a_person_is_tied_for_the_time_that_they_had_the_device(stack):
    settings, name = stack.settings("ap"), uuid.uuid4().hex[:8]
    device, first, second, april = f"tied-{name}", f"p1-{name}", f"p2-{name}", MARCH + timedelta(days=31)
    register(settings, [Fleet("tied", "tied")], [Device(device, "tied", "car")])
    assert rectify(settings, device, {}, add=first, had=(MARCH - timedelta(days=9), MARCH)) == ["subject added"]
    assert rectify(settings, device, {}, add=second, had=(MARCH, None)) == ["subject added"]
    assert rectify(settings, device, {}, add=second, had=(None, april)) == ["subject added"]
    assert rectify(settings, device, {}, add=second, had=(MARCH, april)) == []
    assert scope_of(settings, first)[1].portions == (Portion(device, None, MARCH),)
    assert scope_of(settings, second)[1].portions == (Portion(device, MARCH, april),)
    for wrong in ({"add": second, "had": (april, MARCH)}, {"add": " "}):
        with pytest.raises(Misuse):
            rectify(settings, device, {}, **wrong)


def test_a_fleet_is_its_devices_for_the_time_that_they_were_its_own(stack):
    settings, name = stack.settings("ap"), uuid.uuid4().hex[:8]
    leaving, other = f"leaving-{name}", f"other-{name}"
    stays, comes, goes, changes = (f"{word}-{name}" for word in ("stays", "comes", "goes", "changes"))
    fleets = [Fleet(leaving, "x"), Fleet(other, "y")]
    register(settings, fleets, [Device(one, leaving, "car") for one in (stays, goes, changes)])
    register(settings, fleets, [Device(comes, other, "car")])
    register(
        settings, fleets, [Device(comes, leaving, "car"), Device(goes, other, "car"), Device(changes, leaving, "van")]
    )
    register(settings, fleets, [Device(comes, leaving, "van")])
    kind, scope = scope_of(settings, leaving, Named.FLEET)
    found = {portion.device_id: (portion.start, portion.end) for portion in scope.portions}
    assert kind is SubjectKind.FLEET and len(scope.portions) == 4
    assert found[stays] == found[changes] == (None, None)
    assert found[comes][0] is not None and found[comes][1] is None
    assert found[goes][0] is None and found[goes][1] is not None
    _, in_march = scope_of(settings, leaving, Named.FLEET, start=MARCH, end=MARCH + timedelta(days=31))
    assert {portion.device_id for portion in in_march.portions} == {stays, goes, changes}
    with pytest.raises(Misuse, match="fleet list"):
        scope_of(settings, f"nobody-{name}", Named.FLEET)


def test_a_name_that_is_no_device_id_is_in_no_statement():
    odd = ("truck/17", "Lkw ü", "x' or '1'='1", "y" * 200)
    scope = Scope((*(Portion(name) for name in odd), *(Portion(name, MARCH) for name in odd)))
    assert condition(scope, HISTORY_TABLE, BERLIN) == "false"
    both = Scope((Portion("truck/17"), Portion("truck-17")))
    assert condition(both, HISTORY_TABLE, BERLIN) == "device_id in ('truck-17')"


def test_the_rejected_records_of_a_device_whose_name_ends_with_another_stay():
    rows = pa.chunked_array([[b'{"device_id":"urn:van-1"}', b'{"device_id":"van-1"}', b'{"device_id":van-1', None]])
    assert Needles(["van-1"]).rows_in(rows).to_pylist() == [False, True, True, False]
    assert Needles(["urn:van-1"]).rows_in(rows).to_pylist() == [True, False, False, False]


def test_what_a_name_is_meant_as_is_device_or_subject():
    assert meant_as(None) is None
    assert meant_as("subject") is Named.SUBJECT
    assert meant_as("fleet", fleets=True) is Named.FLEET
    for kind, fleets in (("person", True), ("person", False), ("fleet", False)):
        with pytest.raises(Misuse, match="--as"):
            meant_as(kind, fleets=fleets)
