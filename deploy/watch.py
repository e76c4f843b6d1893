"""Tells CloudWatch how old the marts are, whether the last reconciliation agreed, and which erasures are late.

It keeps a copy of the suppression list as well, for a restore.

One line in CloudWatch's embedded metric format on standard output; `python -m deploy.watch` runs every few minutes.
"""

import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec

from contracts.settings import RegionSettings
from deploy.alarms import PREFIXES, WATCH
from deploy.suppression import s3_of, save

if TYPE_CHECKING:
    import psycopg

_AGE = """
with closed as (select coalesce(min(watermark), now()) as until from ops.watermarks where not ended),
waiting as (
    select min(hour + interval '1 hour') as since from ops.landing_object, closed
        where on_time_merged is null and hour + interval '1 hour' <= until
    union all
    select min(c.changed_at) from ops.changed c left join ops.derived d using (day)
        where d.sequence is null or d.sequence < c.sequence
    union all
    select min(d.derived_at) from ops.derived d left join ops.applied a on a.target = 'marts' and a.day = d.day
        where d.rows_sequence is not null and (a.sequence is null or a.sequence < d.rows_sequence)
)
select coalesce(extract(epoch from now() - min(since)), 0)::float8 from waiting
"""
"""Age of the oldest closed arrival hour or business day that is not yet in the marts."""
_FAILED = "select coalesce((select not ok from ops.reconciliation order by reconciled_at desc limit 1), false)"
_REQUESTS = "select to_regclass('privacy.requests') is not null"
_OVERDUE = (
    "select count(*) from privacy.requests where kind = 'erase' and state in ('open', 'running') and due_at < now()"
)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the region's databases say."""

    marts_age_seconds: float
    reconciliation_failed: int
    erasures_overdue: int


def look(fleet: "psycopg.Connection[Any]", privacy: "psycopg.Connection[Any]") -> Seen:
    """Ask both databases of a region."""
    overdue = int(_one(privacy, _OVERDUE)) if _one(privacy, _REQUESTS) else 0
    return Seen(
        marts_age_seconds=float(_one(fleet, _AGE)), reconciliation_failed=int(_one(fleet, _FAILED)),
        erasures_overdue=overdue,
    )  # fmt: skip


def embedded_metrics(seen: Seen, region: str, now_ms: int) -> dict[str, Any]:
    """What was seen, as CloudWatch's embedded metric format."""
    values = {PREFIXES[WATCH] + name: value for name, value in msgspec.to_builtins(seen).items()}
    metrics = [{"Name": name, "Unit": "None"} for name in values]
    directive = {"Namespace": f"Fleetlake/{WATCH}", "Dimensions": [["region"]], "Metrics": metrics}
    return {"_aws": {"Timestamp": now_ms, "CloudWatchMetrics": [directive]}, "region": region, **values}


def _one(connection: "psycopg.Connection[Any]", query: str) -> Any:
    found = connection.execute(query.encode()).fetchone()
    return found[0] if found else None


def main() -> None:
    """Look once."""
    import psycopg

    settings = RegionSettings.load()
    with (
        psycopg.connect(settings.postgres_dsn.get_secret_value()) as fleet,
        psycopg.connect(settings.privacy_dsn.get_secret_value()) as privacy,
    ):
        seen = look(fleet, privacy)
        save(privacy, s3_of(settings), settings.bucket)
    line = msgspec.json.encode(embedded_metrics(seen, settings.region, int(time.time() * 1_000)))
    sys.stdout.write(line.decode() + "\n")


if __name__ == "__main__":
    main()
