"""The desk: how many requests of data subjects are open, due, overdue and done. It names nobody."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from contracts.settings import RegionSettings
from privacy.database import transaction

SOON_DAYS = 7
_COUNT = """
select kind,
    count(*) filter (where state in ('open', 'running')),
    count(*) filter (where state in ('open', 'running') and due_at < now() + make_interval(days => %(soon)s)),
    count(*) filter (where state in ('open', 'running') and due_at < now()),
    count(*) filter (where state in ('done', 'expired')),
    count(*) filter (where state = 'done' and expires_at > now()),
    min(due_at) filter (where state in ('open', 'running'))
from privacy.requests group by kind order by kind
"""


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of one kind, or of all."""

    open: int = 0
    due_soon: int = 0
    """Open, and due within SOON_DAYS."""
    overdue: int = 0
    done: int = 0
    expiring: int = 0
    """Done, with copies that are gone by a date: links to answers, and what outlives an erasure."""
    next_due: datetime | None = None


class DeskReport(msgspec.Struct, frozen=True, kw_only=True):
    """All requests of a region."""

    region: str
    by_kind: Mapping[str, Requests]

    @property
    def overdue(self) -> int:
        """Requests that should have been done by now."""
        return self.total().overdue

    def total(self) -> Requests:
        """Of all kinds."""
        some = list(self.by_kind.values())
        sums = {
            name: sum(getattr(one, name) for one in some)
            for name in ("open", "due_soon", "overdue", "done", "expiring")
        }
        dues = [one.next_due for one in some if one.next_due is not None]
        return Requests(**sums, next_due=min(dues, default=None))

    def metadata(self) -> dict[str, Any]:
        """JSON-able numbers and times."""
        total = self.total()
        said: dict[str, Any] = {
            name: getattr(total, name) for name in ("open", "due_soon", "overdue", "done", "expiring")
        }
        said["next_due"] = "none" if total.next_due is None else f"{total.next_due.astimezone(UTC):%Y-%m-%d}"
        return said | {f"open_{kind}": one.open for kind, one in self.by_kind.items()}

    def document(self) -> dict[str, Any]:
        """JSON-able, by kind."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document | {"total": msgspec.to_builtins(self.total())}


def count_requests(settings: RegionSettings) -> DeskReport:
    """Count them."""
    with transaction(settings) as connection:
        rows = connection.execute(_COUNT, {"soon": SOON_DAYS}).fetchall()
    fields = Requests.__struct_fields__
    return DeskReport(
        region=settings.region,
        by_kind={kind: Requests(**dict(zip(fields, counts, strict=True))) for kind, *counts in rows},
    )
