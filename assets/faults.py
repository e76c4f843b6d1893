"""What may be said about a failure: Dagster's storage is shared by all regions, so no value of a record is in it."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from contracts.errors import FleetlakeError

log = structlog.get_logger(__name__)


class StepFailed(FleetlakeError):
    """A step of a run failed; the message names the kind of fault and where, never a value."""


@contextmanager
def told_safely(step: str) -> Iterator[None]:
    """Let Fleetlake's own errors pass, whose messages hold no values; replace any other by its kind and place.

    A message of Postgres, Spark or dbt may quote the row that it failed on, and with it a device.
    """
    try:
        yield
    except FleetlakeError as error:
        error.__suppress_context__ = True
        error.__cause__ = None
        raise
    except Exception as error:
        said = safe_text(error)
        log.error("step failed", step=step, fault=said)  # noqa: TRY400 - its text would be in the log
        raise StepFailed(f"{step}: {said}") from None


def safe_text(error: BaseException) -> str:
    """An error's class, its Postgres state and constraint where it has them, and the line that raised it."""
    parts = [f"{type(error).__module__}.{type(error).__qualname__}"]
    diagnostics = getattr(error, "diag", None)
    if diagnostics is not None:
        parts += [
            f"{name} {value}"
            for name in ("sqlstate", "constraint_name", "table_name")
            if (value := getattr(diagnostics, name, None))
        ]
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None:
        parts.append(f"at {trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}")
    return ", ".join(parts)
