"""SensorSpec-triggered sensors: each asks what is due now, and asks for runs of it while none is under way.

No sensor reacts to an event. What is due is read from the stores that know, so an event lost, a daemon killed or a run
failed leaves the level as it is and the next evaluation asks again.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from dagster import (
    AssetCheckKey,
    AssetKey,
    AssetMaterialization,
    AssetSelection,
    DefaultSensorStatus,
    RepositoryDefinition,
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
NO_REST = "no rest"
"""Cursor of an evaluation that asks for failed work without a wait. Sensors of the daemon use no cursor."""
AT_ONCE = "at once"
"""Cursor of an evaluation for a person who waits: NO_REST, and what still grows is due as well."""
_FLOW = ("landing", "days", "marts", "release", "exchange")
"""Kinds of work in the order in which data flows."""


class DueWork(msgspec.Struct, frozen=True):
    """What is due: the partition ranges to run, and the asset events to report about upstream assets."""

    ranges: Sequence[dict[str, str]]
    events: Sequence[AssetMaterialization] = ()


FindDue = Callable[[Any, bool], DueWork]
"""Given the sensor's resource, and whether somebody waits (see AT_ONCE), what is due."""


def whoever_waits(find_due: Callable[[Any], DueWork]) -> FindDue:
    """For work of which the same is due whether somebody waits or not."""
    return lambda resource, _at_once: find_due(resource)


class SensorSpec(msgspec.Struct, frozen=True):
    """One sensor: its kind of work, the resource that it reads and what its runs select."""

    work: str
    """Such as `eu/days`."""
    assets: Sequence[AssetKey]
    checks: Sequence[AssetCheckKey]
    resource: str
    """Key of the resource that knows what is due."""
    after: Sequence[str] = ()
    """Kinds of work during whose runs this sensor requests nothing."""
    every: timedelta = timedelta(seconds=30)
    description: str = ""


def work_of(sensor: SensorDefinition) -> str:
    """The kind of work that a sensor requests: `eu_days` requests `eu/days`."""
    return sensor.name.replace("_", "/", 1)


def in_flow(repository: RepositoryDefinition) -> list[SensorDefinition]:
    """The location's sensors of due work in the order in which data flows; Dagster keeps them by name."""
    of_work = [sensor for sensor in repository.sensor_defs if _kind(sensor) in _FLOW]
    return sorted(of_work, key=lambda sensor: _FLOW.index(_kind(sensor)))


def _kind(sensor: SensorDefinition) -> str:
    return work_of(sensor).split("/")[1]


def due_work_sensor(spec: SensorSpec, find_due: FindDue) -> SensorDefinition:
    """A sensor that turns what `find_due` finds into run requests."""

    @sensor(
        name=spec.work.replace("/", "_"),
        target=AssetSelection.assets(*spec.assets),
        minimum_interval_seconds=int(spec.every.total_seconds()),
        default_status=DefaultSensorStatus.RUNNING,
        description=spec.description,
        required_resource_keys={spec.resource},
    )
    def evaluate(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        for other in spec.after:
            if attempts_of(context.instance, other).under_way:
                return SkipReason(f"{other} is under way")
        attempts = attempts_of(context.instance, spec.work)
        if attempts.under_way:
            return SkipReason("a run is under way")
        no_rest = context.cursor in (NO_REST, AT_ONCE)
        if attempts.backing_off(datetime.now(UTC)) and not no_rest:
            return SkipReason(attempts.backoff_message())
        resource = getattr(context.resources, spec.resource)
        if attempts.outage and not no_rest and (store := resource.away()):
            return SkipReason(f"{store} does not answer; the work is due as soon as it does")
        with without_values(f"ask what is due for {spec.work}"):
            due = find_due(resource, context.cursor == AT_ONCE)
        if not due.ranges:
            return SkipReason("nothing is due")
        return SensorResult(run_requests=requests(spec, attempts, due), asset_events=list(due.events))

    return evaluate


def requests(spec: SensorSpec, attempts: Attempts, due: DueWork) -> list[RunRequest]:
    """One run request for each range."""
    return [
        RunRequest(
            run_key=attempts.run_key(f"{spec.work} {' '.join(tags.values())}".strip()),
            asset_selection=list(spec.assets),
            asset_check_keys=list(spec.checks),
            tags={**tags, **MAX_RUNTIME, DUE_ONLY: "true", WORK: spec.work, ATTEMPT: str(attempts.number)},
        )
        for tags in due.ranges
    ]
