"""Logs of a service's processes: how they are written, and the end of one, for the message that says why it ended."""

import os
import sys
from pathlib import Path

import structlog


def log_to_stderr() -> None:
    """Write one JSON object a line on stderr."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        # One write a line: the processes of a service share this stderr.
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )


def log_of_a_command() -> None:
    """Write lines that a person reads on stderr: what a command prints on stdout is its answer alone."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))


def last_lines(log: Path, count: int = 8) -> str:
    """The end of a log, each line marked; `(no log)` where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 16_384))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(f"  | {line[:300]}" for line in lines[-count:]) or "  | (empty)"
