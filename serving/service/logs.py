"""Logs of the serving: one JSON object a line, on stderr."""

import sys

import structlog


def log_to_stderr() -> None:
    """Configure structlog."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        # One write a line: the processes share this stderr.
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
