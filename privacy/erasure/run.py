"""An erasure, step by step (GDPR Art. 17(1)). Each step is recorded once it is done, so a killed run is taken up there.

suppress     the devices go on the suppression list
acknowledge  every consumer applies it, having committed or dropped what it had read before
canary       a name that nobody has is put where that shows nowhere: a search that does not find it is blind
search       what is where, decoded
objects      landed and rejected objects are rewritten, exports deleted
history      rows are deleted from the tables, with all snapshots and files that had them
serving      live state, staging and marts, credentials, links, marks of releases
registry     the devices themselves, and the person
verify       the decoded search again, also for the canary; what a run beside it brought back is erased once more

Objects go before history: a merge that runs in between would bring their rows back. A run beside it may still have read
what was there before, so the search decides when it is done.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import psycopg

from contracts.erasable import Counts, Erasable, Plantable, Portion, Remains, Scope, total
from contracts.errors import FleetlakeError, StoreUnavailable
from contracts.names import LEDGER_LOCK
from contracts.settings import RegionSettings
from privacy import requests
from privacy.database import transaction
from privacy.erasure import evidence, suppression
from privacy.requests import Kind, Request, State, SubjectKind

ROUNDS = 3
"""How often what was brought back meanwhile is erased again, before somebody has to look."""
Tell = Callable[[str, Counts], None]


class ErasureIncomplete(FleetlakeError):
    """The search still finds what was to be erased: something writes it again."""


class SearchBlind(FleetlakeError):
    """The search does not find what was just put there: that it finds nothing says nothing."""


class Consumers(Protocol):
    """Who reads records off the stream."""

    def acknowledged(self, version: int, within_s: float) -> int:
        """Wait until all apply this version of the suppression list; how many shards. Raises StoreUnavailable."""
        ...


@dataclass(frozen=True)
class Stores:
    """Every adapter, by the step that it is erased in, in their order."""

    consumers: Consumers
    objects: Sequence[Erasable]
    history: Sequence[Erasable]
    serving: Sequence[Erasable]
    registry: Sequence[Erasable]
    beyond: Sequence[Erasable] = field(default_factory=tuple)
    """Nothing can be taken out of these: they have dates of expiry."""
    canaries: Sequence[Plantable] = field(default_factory=tuple)
    """Those of the above that a canary is put into: of each kind of store that can hold one unseen."""

    @property
    def steps(self) -> dict[str, Sequence[Erasable]]:
        """The steps that erase."""
        return {name: getattr(self, name) for name in ("objects", "history", "serving", "registry")}

    @property
    def every(self) -> list[Erasable]:
        """All of them."""
        return [*self.objects, *self.history, *self.serving, *self.registry, *self.beyond]


def dry_run(stores: Stores, scope: Scope) -> dict[str, int]:
    """What an erasure would take out, by store; nothing is changed."""
    return _merged(one.count(scope) for one in stores.every)


def search(stores: Stores, scope: Scope) -> dict[str, int]:
    """What names the scope, by store, decoded."""
    return _merged(one.search(scope) for one in stores.every)


def open_erasure(settings: RegionSettings, name: str) -> Request | None:
    """The erasure of this name that a run has begun and not ended."""
    return next((one for one in requests.of_subject(settings, name, Kind.ERASE) if one.is_open), None)


def begin(
    settings: RegionSettings,
    kind: SubjectKind,
    name: str,
    scope: Scope,
    *,
    who: str,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Request:
    """The request to erase: one that is open is taken up, with the scope that it began with. start, end: as asked."""
    return requests.take_up(
        settings,
        Kind.ERASE,
        kind,
        name,
        who=who,
        start=start,
        end=end,
        scope=scope.document(),
        detail={"devices": len(scope.devices), "in_part": len(scope.ranges)},
    )


def run(
    settings: RegionSettings, request: Request, stores: Stores, *, who: str, within_s: float = 120.0, tell: Tell
) -> Request:
    """Do what is left of the request. Raises ErasureIncomplete, StoreUnavailable; another run goes on from there.

    Of two runs of one request the second waits, and finds what the first has left to do.
    """
    with _alone_on(settings, request, tell):
        known = requests.find(settings, request.request_id)
        return _rest_of(settings, known, stores, who, within_s, tell) if known.is_open else known


def _rest_of(
    settings: RegionSettings, request: Request, stores: Stores, who: str, within_s: float, tell: Tell
) -> Request:
    scope = Scope.of_document(request.scope, str(request.request_id))
    todo = _Run(settings, request, scope, stores, who, tell)
    todo.once("suppress", todo.suppressed)
    version = int(todo.request.steps["suppress"]["version"])
    todo.once("acknowledge", lambda: {"shards": stores.consumers.acknowledged(version, within_s)})
    todo.once("canary", todo.planted)
    todo.once("search", lambda: search(stores, scope))
    with _nothing_compared(settings):
        for step, adapters in stores.steps.items():
            todo.once(step, partial(todo.erased, adapters))
        after = todo.verified()
    return todo.completed(after)


def check_again(
    settings: RegionSettings, request: Request, stores: Stores, scope: Scope, *, who: str
) -> tuple[Request, dict[str, int]]:
    """The search once more, as after 24 hours (step f) or once copies are gone; whoever asks names the scope.

    The request is expired where nothing is found and what it named has passed.
    """
    found = search(stores, scope)
    if total(found) or request.state is not State.DONE or request.expires_at is None:
        return request, found
    if datetime.now(UTC) < request.expires_at:
        return request, found
    said = {"searched_again_at": datetime.now(UTC).isoformat(timespec="seconds"), "hits_again": 0}
    signed = evidence.searched_again(settings, request.evidence or {}, said)
    return requests.mark_expired(settings, request, who=who, evidence=signed), found


@contextmanager
def _alone_on(settings: RegionSettings, request: Request, tell: Tell) -> Iterator[None]:
    """One run at a time: two would each count what the other has erased, and the report would say so."""
    with transaction(settings) as connection:
        connection.autocommit = True
        lock = f"fleetlake.privacy.erasure:{request.request_id}"
        taken = connection.execute("select pg_try_advisory_lock(hashtextextended(%s, 0))", [lock]).fetchone()
        if taken == (False,):
            tell("another run of this request is under way: this one waits for its end", {})
            connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [lock])
        yield


@contextmanager
def _nothing_compared(settings: RegionSettings) -> Iterator[None]:
    """Waits for a reconciliation that runs, and holds up the next: in between, landing lacks what history still has."""
    try:
        fleet = psycopg.connect(settings.postgres_dsn.get_secret_value(), autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"Postgres of region {settings.region} does not answer") from error
    with fleet:
        fleet.execute("select pg_advisory_lock(hashtext(%s))", [LEDGER_LOCK])
        yield


class _Run:
    def __init__(
        self, settings: RegionSettings, request: Request, scope: Scope, stores: Stores, who: str, tell: Tell
    ) -> None:
        self.request = request
        self._settings, self._scope, self._stores = settings, scope, stores
        self._who, self._tell = who, tell
        self._left: Counts = {}
        self._canary = Scope((Portion(f"canary-{request.request_id}"),), None, str(request.request_id))

    def once(self, step: str, work: Callable[[], Mapping[str, Any]]) -> None:
        """Do a step, unless an earlier run has done it."""
        if step in self.request.steps:
            self._tell(f"{step} (done before)", {})
            return
        counts = dict(work())
        self.request = requests.note_step(self._settings, self.request, step, counts, who=self._who)
        self._tell(step, {name: count for name, count in counts.items() if isinstance(count, int)})

    def suppressed(self) -> dict[str, Any]:
        """The list with the devices on it, and what the log keeps to hold it to."""
        version = suppression.suppress(self._settings, self._scope, self.request.request_id)
        return {"version": version, **suppression.entered(self._settings, self.request.request_id)}

    def planted(self) -> dict[str, int]:
        """Where the search finds the canary that was put there. Raises SearchBlind."""
        stores = {store for one in self._stores.canaries for store in one.plant(self._canary)}
        found = {store: count for store, count in self._canaries().items() if count}
        if blind := sorted(stores - found.keys()):
            raise SearchBlind(
                f"request {self.request.request_id}: the search does not see what was just put into "
                f"{', '.join(blind)}; nothing was erased. See that the region's role may read there, then run it again"
            )
        return found

    def erased(self, adapters: Sequence[Erasable]) -> Counts:
        """What was taken out; the canary goes as well, uncounted."""
        counts = _merged(one.erase(self._scope) for one in adapters)
        for one in adapters:
            if one in self._stores.canaries:
                one.erase(self._canary)
        return counts

    def verified(self) -> dict[str, int]:
        """The search after, once it finds nothing."""
        found: dict[str, int] = {}
        for number in range(ROUNDS):
            found = search(self._stores, self._scope)
            self._tell("verify", found)
            self._left = self._canaries()
            if not total(found) + total(self._left):
                return found
            found |= {f"{store} (canary)": count for store, count in self._left.items()}
            if number < ROUNDS - 1:
                for adapters in self._stores.steps.values():
                    self.erased(adapters)
        left = ", ".join(f"{name}: {count}" for name, count in found.items() if count)
        raise ErasureIncomplete(
            f"request {self.request.request_id}: after {ROUNDS} rounds the search still finds {left}; "
            "see what writes there, then run the same command again"
        )

    def _canaries(self) -> dict[str, int]:
        return _merged(one.search(self._canary) for one in self._stores.canaries)

    def completed(self, after: dict[str, int]) -> Request:
        """Sign the report, and drop the names."""
        now = datetime.now(UTC)
        remains: list[Remains] = [one for store in self._stores.every for one in store.expires(now)]
        before, planted = (_counts_of(self.request.steps[step]) for step in ("search", "canary"))
        canary = {store: {"before": count, "after": self._left[store]} for store, count in planted.items()}
        self.request = requests.note_step(self._settings, self.request, "verify", after, who=self._who)
        devices = len(self._scope.devices)
        signed = evidence.report(
            self._settings,
            self.request,
            devices=devices,
            before=before,
            after=after,
            canary=canary,
            remains=remains,
        )
        names = {*self._scope.whole_devices, *([self._scope.subject] if self._scope.subject else [])}
        requests.forget_names(self._settings, names, but=self.request.request_id, who=self._who)
        counts = {"hits_before": total(before), "hits_after": total(after)}
        return requests.complete(
            self._settings,
            self.request,
            who=self._who,
            counts=counts,
            evidence=signed,
            expires_at=evidence.expiry_of(remains, now),
        )


def _counts_of(step: Mapping[str, Any]) -> dict[str, int]:
    return {name: count for name, count in step.items() if name != "at"}


def _merged(counts: Any) -> dict[str, int]:
    merged: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            merged[name] = merged.get(name, 0) + count
    return merged
