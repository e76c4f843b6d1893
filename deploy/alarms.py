"""The alarms, one row each: a documented metric, when it is too much, and which page says what to do."""

from collections.abc import Iterator
from typing import Literal

import msgspec

CONSUMER, GATEWAY, SERVING, WATCH = "consumer", "gateway", "serving", "watch"
PREFIXES = {
    CONSUMER: "fleetlake_ingest_",
    GATEWAY: "fleetlake_gateway_",
    SERVING: "fleetlake_serving_",
    WATCH: "fleetlake_watch_",
}
RUNBOOK = "docs/how-to/runbook.md"


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm of a region. metric: without the role's prefix."""

    name: str
    role: str
    metric: str
    statistic: Literal["Maximum", "Sum", "Average", "Minimum", "p99"]
    above: float
    minutes: int
    severity: Literal["page", "ticket"]
    means: str
    silent_is_bad: bool = False
    """Missing data is an alarm too: the process that would tell is gone."""

    @property
    def full_metric(self) -> str:
        """The metric's whole name."""
        return PREFIXES[self.role] + self.metric


ALARMS: tuple[Alarm, ...] = (
    Alarm(name="retention", role=CONSUMER, metric="retention_used_ratio", statistic="Maximum", above=0.5, minutes=5,
          severity="page", means="a shard stands still: at 1 the stream trims what nobody read", silent_is_bad=True),
    Alarm(name="lag", role=CONSUMER, metric="lag_ms", statistic="Maximum", above=120_000, minutes=10,
          severity="page", means="live state and landing are more than two minutes behind"),
    Alarm(name="lost", role=CONSUMER, metric="lost_total", statistic="Sum", above=0, minutes=1,
          severity="page", means="the stream trimmed records before they were read"),
    Alarm(name="shards-failed", role=CONSUMER, metric="failed_shards", statistic="Maximum", above=0, minutes=10,
          severity="page", means="a shard broke in an unexpected way and is not read"),
    Alarm(name="store-away", role=CONSUMER, metric="sink_down_seconds", statistic="Maximum", above=300, minutes=5,
          severity="page", means="S3, Redis, DynamoDB or Kinesis has been away for five minutes"),
    Alarm(name="rejected", role=CONSUMER, metric="rejected_total", statistic="Sum", above=1_000, minutes=5,
          severity="ticket", means="many records cannot be placed"),
    Alarm(name="live-refused", role=CONSUMER, metric="live_refused_total", statistic="Sum", above=0, minutes=5,
          severity="ticket", means="Redis refuses a record for good"),
    Alarm(name="live-dirty", role=CONSUMER, metric="live_dirty", statistic="Maximum", above=0, minutes=30,
          severity="ticket", means="live state lacks records, and no rebuild has ended"),
    Alarm(name="throttled", role=CONSUMER, metric="throttled_total", statistic="Sum", above=600, minutes=10,
          severity="ticket", means="shards refuse reads: too few of them, or another reader"),
    Alarm(name="unacknowledged", role=GATEWAY, metric="held_bytes", statistic="Maximum", above=48 * 2**20, minutes=5,
          severity="page", means="messages wait for their acknowledgement: the stream takes too little"),
    Alarm(name="stream-refuses", role=GATEWAY, metric="stream_down_seconds", statistic="Maximum", above=60, minutes=2,
          severity="page", means="devices are told to keep their messages", silent_is_bad=True),
    Alarm(name="registry-away", role=GATEWAY, metric="registry_away", statistic="Maximum", above=0, minutes=10,
          severity="ticket", means="no new device can come; known ones work for a day"),
    Alarm(name="turned-away", role=GATEWAY, metric="turned_away_total", statistic="Sum", above=1_000, minutes=5,
          severity="ticket", means="connections are closed before TLS: full tasks, or one source that floods"),
    Alarm(name="map-behind", role=SERVING, metric="behind_seconds", statistic="Maximum", above=60, minutes=5,
          severity="ticket", means="the API's live table may have missed something"),
    Alarm(name="freshness", role=WATCH, metric="marts_age_seconds", statistic="Maximum", above=7_200, minutes=10,
          severity="page", means="closed hours are not in the marts", silent_is_bad=True),
    Alarm(name="reconciliation", role=WATCH, metric="reconciliation_failed", statistic="Maximum", above=0, minutes=5,
          severity="page", means="two stages that must agree do not"),
    Alarm(name="erasure-overdue", role=WATCH, metric="erasures_overdue", statistic="Maximum", above=0, minutes=5,
          severity="page", means="an erasure was asked for and is late", silent_is_bad=True),
)  # fmt: skip


def watched(role: str) -> Iterator[str]:
    """Metrics of a role that an alarm or a scaling policy reads, with their prefix; the agent sends these alone."""
    scaled = {CONSUMER: ("user_records_total", "worker", "shards"), GATEWAY: ("connections", "acknowledged_total")}
    own = dict.fromkeys([*(alarm.metric for alarm in ALARMS if alarm.role == role), *scaled.get(role, ())])
    yield from (PREFIXES[role] + name for name in own)
