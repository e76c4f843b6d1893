"""What an error of Redis means here: whether it is about the rows or about the server, and what to do."""

import re

from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

_CODE = re.compile(r"([A-Z]+) ")


def about_the_rows(error: Exception) -> bool:
    """Whether the server could not take what it was given: sending it again ends in the same way.

    What the server says of itself (out of memory, read-only, no such script, no permission) has a class of its own, or
    is left with its code by the client, which takes only the plain "ERR" away.
    """
    text = str(error)
    code = _CODE.match(text)
    if type(error) is not ResponseError:
        return False
    return code[1] in ("ERR", "WRONGTYPE") if code else "script:" in text


def explained(error: Exception) -> str:
    """What is wrong with the server, and what to do."""
    if isinstance(error, OutOfMemoryError):
        return "it is out of memory and evicts nothing; give it more or sweep devices"
    if isinstance(error, ReadOnlyError):
        return "it is a replica or read-only; point FLEETLAKE_REDIS_URL at the primary"
    if isinstance(error, (NoPermissionError, AuthenticationError)):
        return "it refuses this user; check the region's ACL user and password"
    return f"{type(error).__name__}: {error}; check that it runs and answers"
