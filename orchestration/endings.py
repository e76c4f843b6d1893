"""How a run ended: of its own fault, for a store that was away, or with its process. Read from Dagster's event log."""

from enum import Enum

import msgspec
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRunStatus, RunRecord
from dagster_shared.error import SerializableErrorInfo

_STORES = {"StoreUnavailable", "SinkUnavailable"}
"""Classes of contracts.errors."""
_WITH_ITS_PROCESS = {"DagsterExecutionInterruptedError", "DagsterUserCodeUnreachableError", "KeyboardInterrupt"}


class Kind(Enum):
    """Why a run ended."""

    DONE = "done"
    FAILED = "failed"
    OUTAGE = "outage"
    """A store did not answer."""
    LOST = "lost"
    """Its process was killed, it was terminated, or its code server could not be reached."""


class Ending(msgspec.Struct, frozen=True):
    """Why a run ended, and in words where it did not do its work."""

    kind: Kind
    reason: str = ""


def ending_of(instance: DagsterInstance, record: RunRecord) -> Ending:
    """How a finished run ended. Asks for events only where it did not succeed."""
    run = record.dagster_run
    if run.status == DagsterRunStatus.SUCCESS:
        return Ending(Kind.DONE)
    if run.status == DagsterRunStatus.CANCELED:
        return Ending(Kind.LOST, "it was terminated")
    wanted = {DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE}
    events = [event.dagster_event for event in instance.all_logs(run.run_id, of_type=wanted)]
    return ending_of_events([event for event in events if event is not None])


def ending_of_events(events: list[DagsterEvent]) -> Ending:
    """How a run that did not succeed ended, by its events of failed steps and of its failure."""
    for event in sorted(events, key=lambda event: not event.is_step_failure):
        error = _error_of(event)
        if error is not None:
            where = f"{event.step_key}: " if event.is_step_failure else ""
            return Ending(_kind(error), where + _deepest(error).message.strip())
    said = next((event.message for event in events if event.message), None)
    return Ending(Kind.LOST, said or "its process ended")


def _error_of(event: DagsterEvent) -> SerializableErrorInfo | None:
    """The error of a failed step or run; a run that was failed from outside has none."""
    found: SerializableErrorInfo | None = getattr(event.event_specific_data, "error", None)
    return found


def _kind(error: SerializableErrorInfo) -> Kind:
    names = {one.cls_name for one in _causes(error)}
    if names & _STORES:
        return Kind.OUTAGE
    return Kind.LOST if names & _WITH_ITS_PROCESS else Kind.FAILED


def _deepest(error: SerializableErrorInfo) -> SerializableErrorInfo:
    return _causes(error)[-1]


def _causes(error: SerializableErrorInfo) -> list[SerializableErrorInfo]:
    found = [error]
    while (cause := found[-1].cause) is not None:
        found.append(cause)
    return found
