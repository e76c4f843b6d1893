"""What commands of privacy are told alike: who acts, what a name is meant as, and when."""

import getpass
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from contracts.errors import Misuse

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from privacy.erasure.scope import Named


def actor(who: str | None) -> str:
    """Who acts, for the log: as given, else the user of this machine. Raises Misuse where it has no name."""
    if who is not None and who.strip():
        return who.strip()
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise Misuse("this machine does not know who you are: say it by --who NAME") from None


def meant_as(kind: str | None, *, fleets: bool = False) -> "Named | None":
    """What --as says. fleets: whether it may be a fleet. Raises Misuse."""
    from privacy.erasure.scope import Named

    if kind is None:
        return None
    if kind not in list(Named) or (kind == Named.FLEET and not fleets):
        allowed = "none of device, subject (a person) and fleet" if fleets else "neither device nor subject (a person)"
        raise Misuse(f"--as {kind!r} is {allowed}")
    return Named(kind)


def moment_of(text: str | None, zone: "ZoneInfo") -> datetime | None:
    """A time with an offset, or the beginning of a day of the region."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and moment.time() == time() and "T" not in text and ":" not in text:
            moment = moment.replace(tzinfo=zone)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Misuse(f"{text!r} is no time: write 2026-03-01 or 2026-03-01T06:00:00+01:00") from None
    raise Misuse(f"{text!r} has no offset; add Z for UTC, or one such as +01:00")
