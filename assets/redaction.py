"""Errors without the values of records: all regions share Dagster's storage, so no message in it may quote a row."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import structlog

from contracts.errors import FleetlakeError, StoreUnavailable
from contracts.outages import store_of

_ROOT = Path(__file__).resolve().parent.parent
log = structlog.get_logger(__name__)


class StepFailed(FleetlakeError):
    """A step of a run failed; the message names the kind of fault and where, never a value."""


@contextmanager
def without_values(step: str) -> Iterator[None]:
    """Replace any error but Fleetlake's own, whose messages hold no values, by StepFailed with its class and place.

    A message of Postgres, Spark or dbt may quote the row that it failed on, and with it a device. Where the error is
    the outage of a store it becomes StoreUnavailable, which names the store: such a step is no failure.
    """
    try:
        yield
    except FleetlakeError as error:
        error.__suppress_context__ = True
        error.__cause__ = None
        raise
    except Exception as error:  # noqa: BLE001 - reported by its class, whatever it is
        said = safe_text(error)
        log.error("step failed", step=step, fault=said)  # noqa: TRY400 - its text would be in the log
        if (store := store_of(error)) is not None:
            raise StoreUnavailable(f"{step}: {store} does not answer ({said})") from None
        raise StepFailed(f"{step}: {said}") from None


def safe_text(error: BaseException) -> str:
    """An error's class, its Postgres state and constraint where it has them, and the deepest line of this project."""
    parts = [f"{type(error).__module__}.{type(error).__qualname__}"]
    diagnostics = getattr(error, "diag", None)
    if diagnostics is not None:
        parts += [
            f"{name} {value}"
            for name in ("sqlstate", "constraint_name", "table_name")
            if (value := getattr(diagnostics, name, None))
        ]
    place = _place(error.__traceback__)
    if library := _library(error.__traceback__):
        parts.append(f"in {library}")
    return ", ".join([*parts, f"at {place}"] if place else parts)


def _library(trace: TracebackType | None) -> str:
    """The library in which an error of Python's own arose, such as py4j: its class alone says nothing of where."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    parts = Path(trace.tb_frame.f_code.co_filename).parts if trace is not None else ()
    return parts[parts.index("site-packages") + 1] if "site-packages" in parts else ""


def _place(trace: TracebackType | None) -> str:
    """The deepest line of this project on the way to the fault."""
    found = ""
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(_ROOT) and "site-packages" not in path.parts:
            found = f"{path.relative_to(_ROOT)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
