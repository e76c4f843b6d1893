"""ops.set_aside: landing objects that no merge can read, kept out of merges by name until they are mended."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
import structlog

from contracts.settings import LakeSettings
from lake.database import transaction
from lake.merge.inspection import CONTRACT, Finding, etags_of, inspect_objects
from lake.merge.plan import MergePlan

log = structlog.get_logger()


class SetAside(msgspec.Struct, frozen=True):
    """One landing object that merges leave out."""

    key: str
    reason: str
    rows: int
    """Rows that the ledger says it has, of which history lacks those not merged before."""
    since: datetime


def mergeable(settings: LakeSettings, step: MergePlan, *, whole: bool = False) -> MergePlan:
    """The plan without the objects that cannot be merged, which are set aside with their reasons.

    whole: read each object to its end, not its footer alone. Raises StoreUnavailable.
    """
    found = inspect_objects(settings, _rows_of(settings, step.keys), whole=whole)
    damaged = {key: finding for key, finding in found.items() if finding.reason}
    if not damaged:
        return step
    _set_aside(settings, damaged)
    for key, finding in damaged.items():
        log.error("landing object set aside", region=settings.region, key=key, reason=finding.reason)
    return MergePlan(kind=step.kind, objects=[item for item in step.objects if item.key not in damaged])


def take_up_mended(settings: LakeSettings) -> int:
    """Give back to merges the objects that are mended, or that this version's contract can read; how many.

    An object is looked at again once its etag, or the contract, is another than when it was set aside: its footer and
    then its rows. Raises StoreUnavailable.
    """
    with transaction(settings) as connection:
        aside = connection.execute("select key, etag, contract from ops.set_aside order by key").fetchall()
    if not aside:
        return 0
    now = etags_of(settings, [key for key, _, _ in aside])
    changed = [key for key, etag, contract in aside if now[key] != etag or contract != CONTRACT]
    found = inspect_objects(settings, _rows_of(settings, changed), whole=True)
    _set_aside(settings, {key: finding for key, finding in found.items() if finding.reason})
    mended = [key for key, finding in found.items() if not finding.reason]
    with transaction(settings) as connection:
        connection.execute("delete from ops.set_aside where key = any(%s)", [mended])
    for key in mended:
        log.info("landing object taken up again", region=settings.region, key=key)
    return len(mended)


def objects_set_aside(settings: LakeSettings) -> list[SetAside]:
    """The landing objects that merges leave out, by key."""
    with transaction(settings) as connection:
        rows = connection.execute(
            "select key, reason, rows, set_aside_at from ops.set_aside join ops.landing_object using (key) order by key"
        ).fetchall()
    return [SetAside(*row) for row in rows]


def _set_aside(settings: LakeSettings, damaged: Mapping[str, Finding]) -> None:
    with transaction(settings) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.set_aside as s (key, reason, etag, contract) values (%s, %s, %s, %s) on conflict (key)"
            " do update set reason = excluded.reason, etag = excluded.etag, contract = excluded.contract",
            [(key, finding.reason, finding.etag, CONTRACT) for key, finding in damaged.items()],
        )


def _rows_of(settings: LakeSettings, keys: Iterable[str]) -> dict[str, int]:
    with transaction(settings) as connection:
        rows = connection.execute("select key, rows from ops.landing_object where key = any(%s)", [list(keys)])
        return dict(rows.fetchall())
