"""Classifies Redis errors: those about the rows, and those about the server with advice for the operator."""

import re

from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
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
    if isinstance(error, OutOfMemoryError):
        return "it is out of memory and evicts nothing; give it more or sweep devices"
    if isinstance(error, ReadOnlyError):
        return "it is a replica or read-only; point FLEETLAKE_REDIS_URL at the primary"
    if isinstance(error, (NoPermissionError, AuthenticationError)):
        return "it refuses this user; check the region's ACL user and password"
    return f"{type(error).__name__}: {error}; check that it runs and answers"
