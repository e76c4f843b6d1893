"""SensorSpec-triggered sensors: each asks what is due now, and asks for runs of it while none is under way.

No sensor reacts to an event. What is due is read from the stores that know, so an event lost, a daemon killed or a run
failed leaves the level as it is and the next evaluation asks again.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from dagster import (
    AssetCheckKey,
    AssetKey,
    AssetMaterialization,
    AssetSelection,
    DefaultSensorStatus,
    RepositoryDefinition,
    ResourceParam,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from assets.keys import DUE_ONLY
from assets.redaction import without_values
from orchestration.attempts import ATTEMPT, WORK, Attempts, attempts_of

MAX_RUNTIME_S = 4 * 3600
MAX_RUNTIME = {"dagster/max_runtime": str(MAX_RUNTIME_S)}
"""A run that hangs is ended, so that its work can be asked for again."""
IGNORE_BACKOFF = "at once"
"""Cursor with which an evaluation does not rest after failures: someone is waiting. Sensors keep no cursor else."""
_FLOW = ("landing", "days", "marts", "release", "exchange")
"""Kinds of work in the order in which data flows."""


class DueWork(msgspec.Struct, frozen=True):
    """What is due: the partition ranges to run, what to report about upstream assets, and a word for people."""

    ranges: Sequence[dict[str, str]]
    events: Sequence[AssetMaterialization] = ()
    said: str = ""


class SensorSpec(msgspec.Struct, frozen=True):
    """One kind of work: how its sensor asks and what its runs select."""

    work: str
    """Such as `eu/days`."""
    assets: Sequence[AssetKey]
    checks: Sequence[AssetCheckKey]
    after: Sequence[str] = ()
    """Work that this one waits for while it is under way."""
    every: timedelta = timedelta(seconds=30)
    description: str = ""


def work_of(sensor: SensorDefinition) -> str:
    """The work that a level sensor asks for: `eu_days` asks for `eu/days`."""
    return sensor.name.replace("_", "/", 1)


def in_flow(repository: RepositoryDefinition) -> list[SensorDefinition]:
    """The location's level sensors in the order in which data flows; Dagster keeps them by name."""
    return sorted(repository.sensor_defs, key=lambda sensor: _FLOW.index(work_of(sensor).split("/")[1]))


def due_work_sensor(level: SensorSpec, ask: Callable[..., DueWork]) -> SensorDefinition:
    """A sensor that asks `ask(work)` and turns the answer into runs."""

    @sensor(
        name=level.work.replace("/", "_"),
        target=AssetSelection.assets(*level.assets),
        minimum_interval_seconds=int(level.every.total_seconds()),
        default_status=DefaultSensorStatus.RUNNING,
        description=level.description,
    )
    def evaluate(context: SensorEvaluationContext, work: ResourceParam[object]) -> SensorResult | SkipReason:
        for other in level.after:
            if attempts_of(context.instance, other).under_way:
                return SkipReason(f"{other} is under way")
        attempts = attempts_of(context.instance, level.work)
        if attempts.under_way:
            return SkipReason("a run is under way")
        now = datetime.now(UTC)
        if attempts.backing_off(now) and context.cursor != IGNORE_BACKOFF:
            return SkipReason(attempts.backoff_message())
        with without_values(f"ask what is due for {level.work}"):
            due = ask(work)
        if not due.ranges:
            return SkipReason("nothing is due")
        return SensorResult(run_requests=requests(level, attempts, due), asset_events=list(due.events))

    return evaluate


def requests(level: SensorSpec, attempts: Attempts, due: DueWork) -> list[RunRequest]:
    """One run a range."""
    return [
        RunRequest(
            run_key=attempts.run_key(f"{level.work} {' '.join(tags.values())}".strip()),
            asset_selection=list(level.assets),
            asset_check_keys=list(level.checks),
            tags={**tags, **MAX_RUNTIME, DUE_ONLY: "true", WORK: level.work, ATTEMPT: str(attempts.number)},
        )
        for tags in due.ranges
    ]
