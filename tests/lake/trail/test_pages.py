"""Pages give each record once, whatever merges, rewrites and arrivals happen between them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import BadCursor, Misuse, TooMuchToRead
from contracts.record import NULLABLE_LANDING_SCHEMA
from lake.trail.cursor import Place, cursor_of, place_of
from lake.trail.pages import first_start
from lake.trail.slices import Slices
from lake.trail.spot_query import _page
from lake.trail.union import joined, told_apart
from lake.trail.wanted import Wanted
from tests.builders.lake import NOON, landing_row

DAY = timedelta(days=1)
DEVICES = ("a", "b", "c")
START, END = NOON, NOON + 4 * DAY


@dataclass
class Known:
    """A record, and which stores have it."""

    device: str
    ts: datetime
    name: str
    stores: set[str]

    def row(self, store: str) -> dict[str, object]:
        row = landing_row(self.device, self.ts, self.name)
        return row if store != "live" else row | {"record_id": None, "event_id": None}


@dataclass
class World:
    """Stands for the stores: slices are read from what they hold at that moment."""

    records: list[Known]
    most: int = 10**9
    slices: list[Wanted] = field(default_factory=list)

    def rows(self, part: Wanted) -> pa.Table:
        self.slices.append(part)
        tables = [self._table(part, store) for store in ("history", "landing", "live")]
        if sum(table.num_rows for table in tables) > self.most:
            raise TooMuchToRead("more than may be read")
        return joined(*tables)

    def _table(self, part: Wanted, store: str) -> pa.Table:
        rows = [
            known.row(store)
            for known in self.records
            if store in known.stores and known.device in part.devices and part.start <= known.ts < part.end
        ]
        return pa.Table.from_pylist(rows, schema=NULLABLE_LANDING_SCHEMA)

    def page(self, after: str | None, limit: int | None) -> tuple[list[tuple[str, datetime, str | None]], str | None]:
        """What SpotQuery does once it knows what the stores hold."""
        place = None if after is None else place_of(after)
        left, first = first_start(Wanted.of(DEVICES, START, END), place)
        rows, following = _page(self, Slices(left, first, whole=limit is None), place, limit)  # type: ignore[arg-type]
        found = told_apart(rows)[0].select(["device_id", "ts", "record_id"]).to_pylist()
        given = [(row["device_id"], row["ts"], row["record_id"]) for row in found]
        return given, None if following is None else cursor_of(following)


STORES = st.sampled_from([{"live"}, {"live", "landing"}, {"landing"}, {"landing", "history"}, {"history"}])
RECORDS = st.lists(
    st.tuples(st.sampled_from(DEVICES), st.integers(0, 30), st.integers(0, 3), STORES),
    max_size=40,
    unique_by=lambda one: one[:3],
)
ARRIVALS = st.lists(st.tuples(st.sampled_from(DEVICES), st.integers(0, 30)), max_size=3)
MOVES = {"live": {"live", "landing"}, "landing": {"landing", "history"}, "history": {"history"}}


def known(device: str, step: int, number: int, stores: set[str]) -> Known:
    return Known(device, START + step * timedelta(hours=3), f"{number}-{step}", set(stores))


def named(records: list[Known]) -> list[Known]:
    """Without what live state holds of a moment that another store has: it cannot tell that they are two."""
    stored = {(one.device, one.ts) for one in records if one.stores != {"live"}}
    return [one for one in records if one.stores != {"live"} or (one.device, one.ts) not in stored]


@settings(max_examples=60, deadline=None)
@given(RECORDS, st.integers(1, 7), st.data())
def test_pages_give_each_record_that_was_there_once(made, limit: int, data: st.DataObject) -> None:
    world = World(named([known(*one) for one in made]))
    first = list(world.records)
    given_of: dict[tuple[str, datetime], int] = {}
    cursor, fresh = None, 100
    for number in range(60):
        found, cursor = world.page(cursor, limit)
        assert found == sorted(found, key=lambda one: (one[0], one[1], one[2] is None, one[2] or ""))
        for device, ts, _ in found:
            given_of[device, ts] = given_of.get((device, ts), 0) + 1
        if cursor is None:
            break
        assert number < 59, "the pages do not end"
        for one in world.records:
            if data.draw(st.booleans()):
                one.stores = max((MOVES[store] for store in sorted(one.stores)), key=lambda to: "history" in to)
        for device, step in data.draw(ARRIVALS):
            fresh += 1
            ts = START + step * timedelta(hours=3)
            if not any((one.device, one.ts) == (device, ts) for one in world.records):
                world.records.append(Known(device, ts, f"{fresh}", {"landing"}))
    expected: dict[tuple[str, datetime], int] = {}
    for one in first:
        expected[one.device, one.ts] = expected.get((one.device, one.ts), 0) + 1
    assert {moment: given_of.get(moment) for moment in expected} == expected
    assert all(count == expected.get(moment, 1) for moment, count in given_of.items())


@given(st.text(max_size=20), st.integers(0, 10**15), st.none() | st.text(max_size=70))
def test_a_cursor_says_where_it_stands(device: str, us: int, record: str | None) -> None:
    place = Place(device, NOON + timedelta(microseconds=us), record)
    assert place_of(cursor_of(place)) == place
    assert all(letter.isalnum() or letter in "-_" for letter in cursor_of(place))


@pytest.mark.parametrize("spoil", [lambda text: text[:-2], lambda text: "A" + text[1:], lambda _: "", lambda _: "?!"])
def test_what_is_not_a_whole_cursor_is_refused(spoil) -> None:
    with pytest.raises(BadCursor, match="hand back the text"):
        place_of(spoil(cursor_of(Place("eu-truck-1", NOON, "e:1"))))


def test_records_of_a_moment_that_live_state_alone_has_are_not_parted() -> None:
    """They land under ids that sort anywhere, also before one that a page gave."""
    world = World([known("a", 1, 0, {"landing"})] + [known("a", 2, number, {"live"}) for number in range(3)])
    found, cursor = world.page(None, 2)
    assert len(found) == 4
    assert cursor is None
    world.records.append(known("b", 1, 0, {"history"}))
    found, cursor = world.page(None, 2)
    assert len(found) == 4
    assert place_of(cursor or "").record_id is None
    for one in world.records:
        one.stores = {"history"}
    assert world.page(cursor, 2) == ([("b", START + timedelta(hours=3), "e:0-1")], None)


def test_a_page_reads_little_that_it_does_not_give() -> None:
    world = World([known(device, step, 0, {"history"}) for device in DEVICES for step in range(30)])
    assert len(world.page(None, 5)[0]) == 5
    assert [(part.devices, part.end - part.start) for part in world.slices] == [(("a",), DAY)]


def test_a_page_ends_early_where_more_may_not_be_read_and_the_next_goes_on() -> None:
    world = World([known(device, step, 0, {"history"}) for device in DEVICES for step in range(30)], most=20)
    given, cursor = world.page(None, 1_000)
    pages = [given]
    while cursor is not None:
        given, cursor = world.page(cursor, 1_000)
        pages.append(given)
    assert len([one for page in pages for one in page]) == len({one for page in pages for one in page}) == 90


def test_what_is_too_much_for_one_page_is_refused() -> None:
    world = World([known("a", 0, number, {"history"}) for number in range(9)], most=5)
    for limit in (None, 3):
        with pytest.raises(TooMuchToRead):
            world.page(None, limit)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 9), st.integers(0, 200), st.integers(1, 200), st.lists(st.booleans()), st.booleans())
def test_slices_cover_all_of_a_query_once_and_in_order(
    devices: int, first_h: int, hours: int, shrinks: list[bool], whole: bool
) -> None:
    wanted = Wanted.of([f"d{n}" for n in range(devices)], START, START + timedelta(hours=hours))
    first = min(START + timedelta(hours=first_h), wanted.end - timedelta(hours=1))
    slices, seen = Slices(wanted, max(first, START), whole=whole), []
    for shrink in [*shrinks, *[False] * 2_000]:
        if slices.done:
            break
        if shrink and slices.shrink():
            continue
        part = slices.next()
        seen += [(device, part.start, part.end) for device in part.devices]
        slices.passed(part)
        slices.grow()
    reached = {device: (wanted.start if device != "d0" else max(first, START)) for device in wanted.devices}
    for device, start, end in seen:
        assert start == reached[device]
        reached[device] = end
    assert set(reached.values()) == {wanted.end}
    assert [device for device, *_ in seen] == sorted(device for device, *_ in seen)


def test_a_query_is_of_one_to_a_hundred_devices() -> None:
    assert Wanted.of(["b", "a", "b"], START, END).devices == ("a", "b")
    for devices in ([], [f"d{n}" for n in range(101)]):
        with pytest.raises(Misuse, match="1 to 100"):
            Wanted.of(devices, START, END)
