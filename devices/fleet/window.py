"""The span of time that a simulation covers, and what may be asked of it."""

from datetime import UTC, datetime, timedelta

from contracts.errors import Misuse
from contracts.record import EARLIEST_TS_MS

MAX_DEVICES = 9_999


def default_start(now: datetime, hours: float, rate: float | None) -> datetime:
    """The latest start, on the minute, at which no record leaves before its time: at full speed `hours` ago; at rate 1
    now; between them such that the last record leaves at its own time."""
    back = timedelta(hours=hours) * (1.0 if rate is None else max(0.0, 1.0 - 1.0 / rate))
    return (now - back).astimezone(UTC).replace(second=0, microsecond=0)


def check_not_ahead(start: datetime, hours: float, rate: float | None, now: datetime) -> None:
    """Raises Misuse where records would leave before their event times: a consumer rejects what lies ahead of it."""
    asked_s = hours * 3600
    spent_s = 0.0 if rate is None else asked_s / rate
    ahead_s = (start - now).total_seconds()
    if ahead_s > 0 or ahead_s + asked_s > spent_s + 60:
        raise Misuse(
            f"--start {start.isoformat()} with {hours:g} hours runs ahead of the clock; "
            "start earlier, or leave --start out"
        )


def check(devices: int, hours: float, seed: int, start: datetime | None) -> None:
    """Raises Misuse for a fleet or a span of time that cannot be simulated. start: None where it follows from hours."""
    if not 1 <= devices <= MAX_DEVICES:
        raise Misuse(f"--devices {devices}: give 1 to {MAX_DEVICES}")
    if not 0 < hours <= 24 * 366:
        raise Misuse(f"--hours {hours:g}: give more than 0, at most {24 * 366}")
    if seed < 0:
        raise Misuse(f"--seed {seed}: give 0 or more")
    if start is None:
        return
    if start.tzinfo is None:
        raise Misuse(f"--start {start.isoformat()} has no zone; write one, such as {start.isoformat()}Z")
    if start.timestamp() * 1000 < EARLIEST_TS_MS + 86_400_000:
        raise Misuse(f"--start {start.isoformat()}: no record may be older than 2000-01-02")
