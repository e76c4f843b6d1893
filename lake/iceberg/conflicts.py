"""Retries an operation that lost a race for an Iceberg commit."""

from collections.abc import Callable
from typing import NoReturn, TypeVar

import structlog
from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from contracts.errors import CommitConflict

ATTEMPTS = 8
_LOST = (
    "org.apache.iceberg.exceptions.ValidationException",
    "org.apache.iceberg.exceptions.CommitFailedException",
    "org.apache.iceberg.exceptions.CommitStateUnknownException",
)
_T = TypeVar("_T")
log = structlog.get_logger()


def retry_conflicts(what: str, attempt: Callable[[], _T]) -> _T:
    """The result of `attempt`, called again with jitter while it loses to another commit, at most 8 times.

    `attempt` must read its inputs anew each time. Raises CommitConflict.
    """
    retrying = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.2, max=10),
        retry=retry_if_exception(lost_a_race),
        before_sleep=_tell(what),
        retry_error_callback=_give_up(what),
    )
    return retrying(attempt)


def lost_a_race(error: BaseException) -> bool:
    """Whether another commit is why this one failed, or may be."""
    if not isinstance(error, PySparkException | Py4JJavaError):
        return False
    text = str(error)
    if isinstance(error, PySparkException):
        text += str(getattr(error, "_stackTrace", "") or "") + str(getattr(error, "_cause", "") or "")
    return any(name in text for name in _LOST)


def _tell(what: str) -> Callable[[RetryCallState], None]:
    def tell(state: RetryCallState) -> None:
        log.info("commit conflict, trying again", what=what, attempt=state.attempt_number)

    return tell


def _give_up(what: str) -> Callable[[RetryCallState], NoReturn]:
    def give_up(state: RetryCallState) -> NoReturn:
        error = state.outcome.exception() if state.outcome else None
        raise CommitConflict(f"{what} kept losing to other commits {ATTEMPTS} times; run it again later") from error

    return give_up
