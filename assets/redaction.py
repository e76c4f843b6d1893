"""Errors without the values of records: all regions share Dagster's storage, so no message in it may quote a row."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import structlog

from contracts.errors import FleetlakeError

_ROOT = Path(__file__).resolve().parent.parent
log = structlog.get_logger(__name__)


class StepFailed(FleetlakeError):
    """A step of a run failed; the message names the kind of fault and where, never a value."""


@contextmanager
def without_values(step: str) -> Iterator[None]:
    """Replace any error but Fleetlake's own, whose messages hold no values, by StepFailed with its class and place.

    A message of Postgres, Spark or dbt may quote the row that it failed on, and with it a device.
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
    return ", ".join([*parts, f"at {place}"] if place else parts)


def _place(trace: TracebackType | None) -> str:
    """The deepest line of this project on the way to the fault."""
    found = ""
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(_ROOT) and "site-packages" not in path.parts:
            found = f"{path.relative_to(_ROOT)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
