"""Alerts: a location's troubles are told when they begin and when they are over.

Like the sensors of due work it looks at what is, not at events: work that fails, checks that do not hold, and what
waits too long. What was told is its cursor, so nothing is told twice, and what the receiver did not take is told again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from dagster import (
    AssetCheckKey,
    DagsterInstance,
    DefaultSensorStatus,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from assets.operators import Operators, Trouble
from assets.redaction import without_values
from orchestration.attempts import attempts_of

ALERTS = "alerts"
"""What the sensor is called behind its location's name."""
OUTAGE_AFTER = timedelta(minutes=30)
"""A store that is away for less is nobody's trouble: work waits and goes on by itself."""
_EVERY_S = 60
_FAILED = "FAILED"


class _Told(msgspec.Struct):
    """The cursor: when each trouble that is open was told, and its title."""

    open: dict[str, tuple[str, str]] = {}
    """By key: the title, and since when (RFC 3339)."""


def alerts_sensor(location: str, works: Sequence[str], checks: Sequence[AssetCheckKey]) -> SensorDefinition:
    """The sensor that tells a location's troubles.

    works: kinds of work that sensors request, such as `eu/days`. checks: the location's asset checks.
    """

    @sensor(
        name=f"{location}_{ALERTS}",
        minimum_interval_seconds=_EVERY_S,
        default_status=DefaultSensorStatus.RUNNING,
        description="Tells FLEETLAKE_ALERTS_URL what is wrong when it begins, and when it is over.",
        required_resource_keys={"operators"},
    )
    def evaluate(context: SensorEvaluationContext) -> SkipReason:
        operators: Operators = context.resources.operators
        if not operators.is_on:
            return SkipReason("FLEETLAKE_ALERTS_URL is not set: nobody is told")
        with without_values(f"ask what is wrong in {location}"):
            found = [
                *failing_work(context.instance, works),
                *failing_checks(context.instance, checks),
                *operators.late(),
            ]
        before = msgspec.json.decode(context.cursor, type=_Told).open if context.cursor else {}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        after = {one.key: before.get(one.key, (one.title, now)) for one in found}
        begun = [one for one in found if one.key not in before]
        over = [key for key in before if key not in after]
        if begun or over:
            operators.tell(message(location, begun, [before[key] for key in over], len(after)))
            context.update_cursor(msgspec.json.encode(_Told(after)).decode())
        return SkipReason(f"{len(after)} troubles, {len(begun)} new, {len(over)} over")

    return evaluate


def message(location: str, begun: Sequence[Trouble], over: Sequence[tuple[str, str]], open_now: int) -> dict[str, Any]:
    """What is sent: `text` for people, as Slack and Mattermost show it, and the same in fields for programs."""
    lines = [f"{location}: {one.title}. What to do: {one.advice}." for one in begun]
    lines += [f"{location}: over: {title} (since {since})." for title, since in over]
    return {
        "text": "\n".join(lines),
        "location": location,
        "begun": [msgspec.to_builtins(one) for one in begun],
        "over": [{"title": title, "since": since} for title, since in over],
        "open": open_now,
    }


def failing_work(instance: DagsterInstance, works: Sequence[str]) -> list[Trouble]:
    """Kinds of work whose newest runs failed, or wait for a store for longer than OUTAGE_AFTER."""
    found = []
    for work in works:
        attempts = attempts_of(instance, work)
        if attempts.failures:
            title = f"{work} fails: {attempts.reason}" if attempts.reason else f"{work} fails"
            found.append(Trouble(f"work/{work}", title, f"open the newest run of {work} in Dagster; it is tried again"))
        elif attempts.outage and attempts.since is not None and datetime.now(UTC) - attempts.since > OUTAGE_AFTER:
            title = f"{work} waits for a store ({attempts.reason})"
            found.append(Trouble(f"work/{work}", title, "bring the store back; the work goes on by itself"))
    return found


def failing_checks(instance: DagsterInstance, checks: Sequence[AssetCheckKey]) -> list[Trouble]:
    """Checks whose newest execution did not hold, warnings too."""
    newest = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(checks))
    return [
        Trouble(
            f"check/{key.to_user_string()}",
            f"the check {key.name} of {key.asset_key.to_user_string()} does not hold",
            f"open the check at {key.asset_key.to_user_string()} in Dagster; it says what a person should do",
        )
        for key, record in sorted(newest.items(), key=lambda one: one[0].to_user_string())
        if record is not None and record.status.value == _FAILED
    ]
