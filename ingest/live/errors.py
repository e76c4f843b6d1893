"""Classifies Redis errors: those about the rows, and those about the server with advice for the operator."""

import re

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    ClusterDownError,
    ExecAbortError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

_CODE = re.compile(r"([A-Z]+) ")


def rejects_rows(error: Exception) -> bool:
    """Whether the server rejects the rows themselves, so that sending them again fails in the same way.

    An error about the server (out of memory, read-only, no such script, no permission) has a class of its own, or
    keeps its code: the client strips only the plain "ERR".
    """
    text = str(error)
    code = _CODE.match(text)
    if type(error) is not ResponseError:
        return False
    return code[1] in ("ERR", "WRONGTYPE") if code else "script:" in text


def explanation(error: Exception) -> str:
    """What is wrong with the server, and what to do about it."""
    if isinstance(error, ExecAbortError):
        error = _aborted_by(error)
    if isinstance(error, OutOfMemoryError):
        return "it is out of memory and evicts nothing; give it more or sweep devices"
    if isinstance(error, ReadOnlyError):
        return (
            "it is a replica or read-only; point FLEETLAKE_REDIS_URL at the primary, or wait where it is failing over"
        )
    if isinstance(error, (BusyLoadingError, MasterDownError)):
        return f"it is starting or failing over: {error}; it is tried again"
    if isinstance(error, (AskError, ClusterCrossSlotError, ClusterDownError, MovedError)):
        return f"it is in cluster mode, which live state cannot use: {error}; see docs/how-to/run-on-aws.md"
    if isinstance(error, (NoPermissionError, AuthenticationError, AuthorizationError)):
        return "it refuses this user; check the region's ACL user and password"
    return f"{type(error).__name__}: {error}; check that it runs and answers"


_ABORTS: dict[str, type[RedisError]] = {
    "OOM": OutOfMemoryError,
    "READONLY": ReadOnlyError,
    "NOPERM": NoPermissionError,
    "LOADING": BusyLoadingError,
    "MASTERDOWN": MasterDownError,
    "CLUSTERDOWN": ClusterDownError,
    "CROSSSLOT": ClusterCrossSlotError,
}


def _aborted_by(error: ExecAbortError) -> Exception:
    """The error that a transaction was aborted by, which the server quotes."""
    code = str(error).partition("because of: ")[2].partition(" ")[0]
    kind = _ABORTS.get(code)
    return error if kind is None else kind(str(error))
