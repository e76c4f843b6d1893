"""privacy.requests: what data subjects asked for, how far it is, and by when it is due.

A request's subject is in clear while it is open: the work needs it, and a killed run goes on by it. `complete` drops
it; from then on a keyed hash finds the request for whoever asks by name. It is due within a month (GDPR Art. 12(3)).
"""

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from contracts.errors import Misuse
from contracts.pseudonyms import REQUESTS, key_for, keyed_hash
from contracts.settings import RegionSettings
from privacy import audit
from privacy.database import transaction


class Kind(StrEnum):
    """What is asked for."""

    ERASE = "erase"
    EXPORT = "export"
    RESTRICT = "restrict"
    RETENTION = "retention"
    LIFT = "lift"


class SubjectKind(StrEnum):
    """Whom it is about."""

    DEVICE = "device"
    SUBJECT = "subject"
    FLEET = "fleet"
    REGION = "region"


class State(StrEnum):
    """How far it is. An erasure is done once no supported read returns the id, and expired once copies are gone too."""

    OPEN = "open"
    RUNNING = "running"
    DONE = "done"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Request:
    """A row of privacy.requests. subject and scope are None once it is done."""

    request_id: UUID
    kind: Kind
    subject_kind: SubjectKind
    subject: str | None
    state: State
    who: str
    created_at: datetime
    due_at: datetime
    start: datetime | None = None
    end: datetime | None = None
    scope: Any = None
    done_at: datetime | None = None
    expires_at: datetime | None = None
    steps: dict[str, Any] = field(default_factory=dict)
    """By step that is done: when, and its counts."""
    counts: dict[str, Any] = field(default_factory=dict)
    evidence: dict[str, Any] | None = None

    @property
    def is_open(self) -> bool:
        """Whether something is left to do."""
        return self.state in (State.OPEN, State.RUNNING)

    @property
    def overdue(self) -> bool:
        """Whether it should have been done by now."""
        return self.is_open and datetime.now(UTC) > self.due_at

    def is_about(self, subject_kind: SubjectKind, start: datetime | None, end: datetime | None) -> bool:
        """Whether it is about this kind of name, and the same time."""
        return (self.subject_kind, self.start, self.end) == (subject_kind, start, end)

    def document(self) -> dict[str, Any]:
        """JSON-able; names nobody."""
        times = {name: getattr(self, name) for name in ("created_at", "due_at", "done_at", "expires_at")}
        return {
            "request_id": str(self.request_id),
            "kind": self.kind.value,
            "subject_kind": self.subject_kind.value,
            "state": self.state.value,
            "overdue": self.overdue,
            **{name: at.astimezone(UTC).isoformat() if at else None for name, at in times.items()},
            "steps": self.steps,
            "counts": self.counts,
        }


_COLUMNS = (
    "request_id, kind, subject_kind, subject, state, who, created_at, due_at, from_ts, to_ts, scope, done_at, "
    "expires_at, steps, counts, evidence"
)
_SELECT = f"select {_COLUMNS} from privacy.requests"  # noqa: S608 - constants
_INSERT = f"""
insert into privacy.requests (kind, subject_kind, subject, subject_hmac, from_ts, to_ts, scope, who)
values (%s, %s, %s, %s, %s, %s, %s, %s) returning {_COLUMNS}
"""  # noqa: S608 - constants


def open_request(
    settings: RegionSettings,
    kind: Kind,
    subject_kind: SubjectKind,
    subject: str,
    *,
    who: str,
    start: datetime | None = None,
    end: datetime | None = None,
    scope: Any = None,
    detail: Mapping[str, Any] | None = None,
) -> Request:
    """Enter a request, and the act of entering it. start, end: only what lies between; scope: what the work needs."""
    values = [kind.value, subject_kind.value, subject, hmac_of(settings, subject), start, end, _json(scope), who]
    with transaction(settings) as connection:
        row = connection.execute(_INSERT, values).fetchone()
        made = _request(row)
        audit.append(connection, settings, f"{kind}.opened", who=who, request_id=made.request_id, detail=detail)
    return made


def take_up(
    settings: RegionSettings,
    kind: Kind,
    subject_kind: SubjectKind,
    subject: str,
    *,
    who: str,
    start: datetime | None = None,
    end: datetime | None = None,
    scope: Any = None,
    detail: Mapping[str, Any] | None = None,
) -> Request:
    """The open request of this kind about this name and time, left by a run that was killed; else a new one.

    Of two that ask at once both get the same.
    """
    with transaction(settings) as connection:
        lock = f"fleetlake.privacy.request:{kind}:{hmac_of(settings, subject).hex()}"
        connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [lock])
        for known in of_subject(settings, subject, kind):
            if known.is_open and known.is_about(subject_kind, start, end):
                return known
        return open_request(
            settings, kind, subject_kind, subject, who=who, start=start, end=end, scope=scope, detail=detail
        )


def find(settings: RegionSettings, request_id: UUID) -> Request:
    """The request. Raises Misuse where there is none."""
    with transaction(settings) as connection:
        row = connection.execute(f"{_SELECT} where request_id = %s", [request_id]).fetchone()
    if row is None:
        raise Misuse(f"region {settings.region} has no request {request_id}; see `fleetlake requests`")
    return _request(row)


def of_subject(settings: RegionSettings, subject: str, kind: Kind | None = None) -> list[Request]:
    """Requests about a device, person or fleet, the newest first, also those that no longer name it."""
    query = f"{_SELECT} where subject_hmac = %s and (%s::text is null or kind = %s) order by created_at desc"
    values = [hmac_of(settings, subject), kind and kind.value, kind and kind.value]
    with transaction(settings) as connection:
        return [_request(row) for row in connection.execute(query, values).fetchall()]


def listed(settings: RegionSettings, kind: Kind | None = None, *states: State) -> list[Request]:
    """Requests by when they are due: of one kind or all, in one of the states or any."""
    query = f"{_SELECT} where (%s::text is null or kind = %s) and (%s or state = any(%s)) order by due_at, request_id"
    values = [kind and kind.value, kind and kind.value, not states, [state.value for state in states]]
    with transaction(settings) as connection:
        return [_request(row) for row in connection.execute(query, values).fetchall()]


def note_step(
    settings: RegionSettings, request: Request, step: str, counts: Mapping[str, Any], *, who: str, scope: Any = None
) -> Request:
    """Record that a step is done, with its counts, and the act. scope: replaces the request's, where given."""
    said = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **counts}
    query = f"""update privacy.requests set state = case when state = 'open' then 'running' else state end,
        steps = steps || jsonb_build_object(%s::text, %s::jsonb), scope = coalesce(%s::jsonb, scope)
        where request_id = %s returning {_COLUMNS}"""  # noqa: S608 - constants
    values = [step, _json(said), _json(scope), request.request_id]
    with transaction(settings) as connection:
        noted = _request(connection.execute(query, values).fetchone())
        act = f"{request.kind}.{step}"
        audit.append(connection, settings, act, who=who, request_id=request.request_id, detail=counts)
    return noted


def complete(
    settings: RegionSettings,
    request: Request,
    *,
    who: str,
    counts: Mapping[str, Any] | None = None,
    evidence: Mapping[str, Any] | None = None,
    expires_at: datetime | None = None,
) -> Request:
    """The request is done: its subject and scope are dropped. A request that is done already stays as it is."""
    query = f"""update privacy.requests set state = 'done', done_at = now(), subject = null, scope = null,
        counts = counts || %s::jsonb, evidence = coalesce(%s::jsonb, evidence), expires_at = %s
        where request_id = %s and state in ('open', 'running') returning {_COLUMNS}"""  # noqa: S608 - constants
    values = [_json(dict(counts or {})), _json(evidence), expires_at, request.request_id]
    with transaction(settings) as connection:
        row = connection.execute(query, values).fetchone()
        if row is not None:
            act = f"{request.kind}.done"
            audit.append(connection, settings, act, who=who, request_id=request.request_id, detail=counts)
    if row is None:
        return find(settings, request.request_id)
    _forget_old_rows(settings)
    return _request(row)


def forget_names(settings: RegionSettings, names: Set[str], *, but: UUID, who: str) -> int:
    """Close open requests about erased devices or people, and drop the names from others' scopes; how many.

    A run that was killed has left them: there is nothing left to answer. Erasures end by themselves. but: not this one.
    """
    others = [one for one in listed(settings, None, State.OPEN, State.RUNNING) if one.request_id != but]
    told = [one for one in others if one.kind is not Kind.ERASE and not names.isdisjoint(_names(one))]
    for one in told:
        if one.subject in names:
            complete(settings, one, who=who, counts={"erased_meanwhile": 1})
        else:
            with transaction(settings) as connection:
                connection.execute("update privacy.requests set scope = null where request_id = %s", [one.request_id])
    return len(told)


def mark_expired(settings: RegionSettings, request: Request, *, who: str, evidence: Mapping[str, Any]) -> Request:
    """What outlived the erasure is gone too, as the report says with a later search: `evidence`."""
    query = f"""update privacy.requests set state = 'expired', evidence = %s::jsonb
        where request_id = %s and state = 'done' returning {_COLUMNS}"""  # noqa: S608 - constants
    with transaction(settings) as connection:
        row = connection.execute(query, [_json(dict(evidence)), request.request_id]).fetchone()
        if row is not None:
            act = f"{request.kind}.expired"
            audit.append(connection, settings, act, who=who, request_id=request.request_id)
    return find(settings, request.request_id) if row is None else _request(row)


def hmac_of(settings: RegionSettings, subject: str) -> bytes:
    """What stands for a subject once its request is done."""
    return keyed_hash(key_for(settings.release_key, REQUESTS), subject)


def _names(request: Request) -> set[str]:
    """Devices and people that the row has in clear."""
    scope = request.scope if isinstance(request.scope, dict) else {}
    devices = {str(portion[0]) for portion in scope.get("portions", ())}
    return devices | {name for name in (request.subject, scope.get("subject")) if name}


def _forget_old_rows(settings: RegionSettings) -> None:
    """Rewrite the table: Postgres keeps the bytes of rows that an update replaced, and a sample of their values."""
    import psycopg

    with psycopg.connect(settings.privacy_dsn.get_secret_value(), autocommit=True) as connection:
        connection.execute("vacuum (full, analyze) privacy.requests")


def _request(row: Any) -> Request:
    request_id, kind, subject_kind, subject, state, *rest = row
    who, created_at, due_at, start, end, scope, done_at, expires_at, steps, counts, evidence = rest
    return Request(
        request_id=request_id,
        kind=Kind(kind),
        subject_kind=SubjectKind(subject_kind),
        subject=subject,
        state=State(state),
        who=who,
        created_at=created_at,
        due_at=due_at,
        start=start,
        end=end,
        scope=scope,
        done_at=done_at,
        expires_at=expires_at,
        steps=steps,
        counts=counts,
        evidence=evidence,
    )


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, default=str)
