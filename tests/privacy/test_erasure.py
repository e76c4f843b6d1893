"""An erasure on the real stack: found in each store before, nowhere after; all other rows as they were."""

import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

import lake.erase.landing
from cli.erasables import erasables
from contracts.erasable import Counts, Erasable, Needles, Portion, Remains, Scope, total
from contracts.names import DEVICE_DAY_TABLE, HISTORY_TABLE, TRIP_TABLE
from ingest.service.consume import consume
from lake.iceberg.tables import table
from privacy import audit, requests
from privacy.erasure import evidence, run, suppression
from privacy.requests import State
from privacy.search.everything import in_bucket, in_databases, in_files
from reconcile import reconcile
from tests.builders.erasing import OFFICER, Region, drive, whole

NOW = datetime.now(UTC).replace(minute=5, second=0, microsecond=0)
YESTERDAY = NOW - timedelta(days=1)
TAG = uuid.uuid4().hex[:6]
GONE, LONGER, STAYS, DRIVER = f"gone-{TAG}-1", f"gone-{TAG}-10", f"stays-{TAG}-2", f"person-{TAG}"


class Killed(Exception):
    """The process died here."""


class DiesOnce:
    """An adapter whose process dies once: before it has done anything, or when all is done and nothing is recorded."""

    def __init__(self, inner: Erasable, *, done: bool) -> None:
        self.inner, self._done, self._alive = inner, done, True
        self.name, self.stores = inner.name, inner.stores

    def count(self, scope: Scope) -> Counts:
        return self.inner.count(scope)

    def search(self, scope: Scope) -> Counts:
        return self.inner.search(scope)

    def expires(self, now: datetime) -> list[Remains]:
        return self.inner.expires(now)

    def plant(self, scope: Scope) -> Sequence[str]:
        return self.inner.plant(scope)

    def erase(self, scope: Scope) -> Counts:
        if self._alive and not self._done:
            self._alive = False
            raise Killed
        counts = self.inner.erase(scope)
        if self._alive:
            self._alive = False
            raise Killed
        return counts


def _dying(stores: run.Stores) -> run.Stores:
    """Every adapter dies once, in turn before and after its work."""
    steps = {
        step: [DiesOnce(one, done=number % 2 == 0) for number, one in enumerate(adapters)]
        for step, adapters in stores.steps.items()
    }
    canaries = [one for adapters in steps.values() for one in adapters if one.inner in stores.canaries]
    return run.Stores(consumers=stores.consumers, beyond=stores.beyond, canaries=canaries, **steps)


def _others(region: Region) -> dict[str, Any]:
    """All rows of devices that stay, in every store, in an order of their own."""
    found: dict[str, Any] = {}
    for name in (HISTORY_TABLE, TRIP_TABLE, DEVICE_DAY_TABLE):
        rows = table(region.settings, name).scan().to_arrow().to_pylist()
        found[name] = sorted(repr(row) for row in rows if row["device_id"] != GONE)
    for name in ("staging.trip", "staging.device_day", "staging.fault_day", "marts.device_day", "registry.device"):
        found[name] = sorted(region.sql(f"select t::text from {name} t where device_id <> %s", [GONE]))
    with redis.Redis.from_url(region.settings.redis_url.get_secret_value()) as live:
        found["redis"] = [live.get(f"af:latest:{one}") for one in (LONGER, STAYS)]
        found["trail"] = [live.zrange(f"af:trail:{one}", 0, -1) for one in (LONGER, STAYS)]
    return found


@pytest.fixture(scope="module")
def known(region: Region) -> Region:
    """A region that knows GONE everywhere, beside a device with a longer name and another."""
    region.register([GONE, STAYS, LONGER], DRIVER)
    records = [one for device in (GONE, LONGER, STAYS) for one in drive(device, YESTERDAY, 200)]
    records += [one for device in (GONE, LONGER, STAYS) for one in drive(device, NOW - timedelta(hours=1), 100)]
    broken = [{"device_id": GONE, "ts": "never"}, {"device_id": STAYS, "ts": "never"}]
    region.send([*records, *broken], packed=[f"{{not json of {GONE}".encode(), b"{not json of nobody"])
    region.process()
    region.export(GONE)
    region.export(STAYS)
    assert reconcile(region.settings).ok
    return region


def test_what_was_erased_is_nowhere_and_all_else_is_as_it_was_though_every_step_was_killed(
    known: Region, own_state: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, scope = known.settings, whole(GONE)
    stores = erasables(settings)
    before, others, planned = run.search(stores, scope), _others(known), run.dry_run(stores, scope)
    first = reconcile(settings)
    assert [one.name for one in stores.every if one.name != "stream" and not total(one.search(scope))] == []
    found_before = in_bucket(settings, scope.needles) + in_databases(settings, scope.needles)
    assert {"s3:landing/", "s3:rejected/", "s3:exports/", "s3:warehouse/"} <= (+found_before).keys()

    _die_between_ledger_and_postgres(monkeypatch)
    dying, killed = _dying(stores), 0
    while True:
        try:
            request = known.erase(GONE, scope, stores=dying)
            break
        except Killed:
            killed += 1
            assert killed < 30
    assert killed == sum(len(adapters) for adapters in stores.steps.values()) + 1

    assert (request.state, request.subject, request.scope) == (State.DONE, None, None)
    assert total(run.search(stores, scope)) == 0
    left = in_bucket(settings, scope.needles) + in_databases(settings, scope.needles)
    assert not total(left), left
    canary = Needles([f"canary-{request.request_id}"])
    assert not total(in_bucket(settings, canary) + in_databases(settings, canary))
    files = in_files(own_state, Needles([GONE]))
    longer = in_files(own_state, Needles([LONGER]))
    outside = {name for name in files if not name.endswith(("pg_wal", "kinesis", "volumes"))}
    assert {name: files[name] - longer[name] for name in outside if files[name] > longer[name]} == {}
    assert _others(known) == others
    _the_report_says_so(known, request, before, planned)
    second = reconcile(settings)
    assert second.ok, second.differences
    gone = first.stages["landed"] + first.stages["rejected"] - second.stages["landed"] - second.stages["rejected"]
    assert gone == second.stages["suppressed"] - first.stages["suppressed"] == 302


def _die_between_ledger_and_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., None] = lake.erase.landing.replace_objects
    died: list[bool] = []

    def dying(*arguments: Any) -> None:
        if not died:
            died.append(True)
            raise Killed
        real(*arguments)

    monkeypatch.setattr(lake.erase.landing, "replace_objects", dying)


def _the_report_says_so(known: Region, request: Any, before: Counts, planned: Counts) -> None:
    report = request.evidence
    assert evidence.is_genuine(known.settings, report)
    assert not evidence.is_genuine(known.settings, {**report, "hits_after": 1})
    assert (report["hits_before"], report["hits_after"]) == (total(before), 0)
    assert {name: counts["before"] for name, counts in report["stores"].items()} == dict(before)
    canaries = ("s3:exports/", "registry.last_refusal", "redis:gateway:device", "privacy.past_read")
    assert report["canary"].keys() == set(canaries)
    assert all(counts["before"] and not counts["after"] for counts in report["canary"].values())
    assert planned["s3:landing/"] == 300
    assert all(one["until"] for one in report["remains"])
    assert audit.verify(known.settings, report["audit_head"]).broken is None
    assert GONE not in json.dumps([report, request.document()])
    assert GONE not in json.dumps([act.detail for act in audit.acts(known.settings, request.request_id)])


def test_neither_a_replay_nor_a_restored_object_brings_anything_back(known: Region) -> None:
    known.erase(GONE, whole(GONE))
    before = reconcile(known.settings)
    known.send([*drive(GONE, YESTERDAY, 200), *drive(STAYS, YESTERDAY, 200)])
    report = consume(known.settings, until_idle=True)
    assert (report.read, report.suppressed) == (400, 200)
    known.merge()
    after = reconcile(known.settings)
    assert after.ok, after.differences
    assert after.stages["history"] == before.stages["history"]
    assert after.stages["suppressed"] == before.stages["suppressed"] + 200
    assert total(run.search(erasables(known.settings), whole(GONE))) == 0


def test_lifting_is_an_act_and_lets_records_in_again(known: Region) -> None:
    known.erase(GONE, whole(GONE))
    suppression.lift(known.settings, GONE, who=OFFICER)
    assert audit.acts(known.settings, last=1)[0].act == "suppression.lifted"
    known.send(drive(GONE, YESTERDAY, 10))
    assert consume(known.settings, until_idle=True).landed == 10


@pytest.mark.long
def test_a_range_takes_its_records_and_leaves_the_rest(known: Region) -> None:
    middle = YESTERDAY + timedelta(seconds=1000)
    scope = Scope((Portion(STAYS, YESTERDAY, middle),))
    known.erase(STAYS, scope)
    rows = table(known.settings, HISTORY_TABLE).scan(f"device_id = '{STAYS}'").to_arrow()
    assert rows.num_rows == 200
    assert min(rows["ts"].to_pylist()) == middle
    assert total(run.search(erasables(known.settings), scope)) == 0
    known.send(drive(STAYS, YESTERDAY, 110))
    report = consume(known.settings, until_idle=True)
    assert (report.suppressed, report.landed) == (100, 10)
    known.process()
    assert reconcile(known.settings).ok
    assert table(known.settings, HISTORY_TABLE).scan(f"device_id = '{STAYS}'").to_arrow().num_rows == 200
    assert requests.listed(known.settings, None, State.OPEN, State.RUNNING) == []
