"""privacy.requests: what data subjects asked for, how far it is, and by when it is due.

A request's subject is in clear while it is open: the work needs it, and a killed run goes on by it. `complete` drops
it; from then on a keyed hash finds the request for whoever asks by name. It is due within a month (GDPR Art. 12(3)).
"""

import json
from collections.abc import Mapping
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
    def overdue(self) -> bool:
        """Whether it should have been done by now."""
        return self.state in (State.OPEN, State.RUNNING) and datetime.now(UTC) > self.due_at

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


def mark_expired(settings: RegionSettings, request: Request, *, who: str, evidence: Mapping[str, Any]) -> Request:
    """What outlived the erasure is gone too, as `evidence` of a later search says."""
    query = f"""update privacy.requests set state = 'expired', evidence = coalesce(evidence, '{{}}'::jsonb) || %s::jsonb
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
