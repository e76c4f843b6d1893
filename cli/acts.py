"""What commands of privacy are told alike: who acts, and what a name is meant as."""

import getpass
from typing import TYPE_CHECKING

from contracts.errors import Misuse

if TYPE_CHECKING:
    from privacy.erasure.scope import Named


def actor(who: str | None) -> str:
    """Who acts, for the log: as given, else the user of this machine. Raises Misuse where it has no name."""
    if who is not None and who.strip():
        return who.strip()
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise Misuse("this machine does not know who you are: say it by --who NAME") from None


def meant_as(kind: str | None) -> "Named | None":
    """What --as says. Raises Misuse."""
    from privacy.erasure.scope import Named

    if kind is None:
        return None
    if kind not in list(Named):
        raise Misuse(f"--as {kind!r} is neither device nor subject (a person)")
    return Named(kind)
