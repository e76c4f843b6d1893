"""Guest links: made, listed and revoked by operators; looked up by the hash of their secret."""

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from serving.access.caller import Caller
from serving.access.rates import Rates
from serving.problems import NotAuthenticated, NotFound
from serving.stores.postgres import Postgres, Row

PREFIX = "guest."
KEPT_S = 5.0
"""A link that was revoked ends within so long, as a token does."""
_MOST_KEPT = 10_000
_SECRET_BYTES = 32
_UNKNOWN = "guests that nobody knows"
_COLUMNS = "share_id, name, devices, valid_from, valid_to, created_by, created_at, revoked_at"
_OWN = "(%(all)s or fleets <@ %(fleets)s::text[])"
_FLEETS = """
select device_id, fleet_id from registry.shown_device
where device_id = any(%(devices)s) and (%(all)s or fleet_id = any(%(fleets)s))
"""
_PUT = f"""
insert into registry.share (hash, name, devices, fleets, valid_from, valid_to, created_by)
values (%(hash)s, %(name)s, %(devices)s, %(of)s, %(valid_from)s, %(valid_to)s, %(subject)s) returning {_COLUMNS}
"""  # noqa: S608 - a constant
_LIST = f"""
select {_COLUMNS} from registry.share where {_OWN} and (%(after)s::uuid is null or share_id > %(after)s::uuid)
order by share_id limit %(limit)s
"""  # noqa: S608 - a constant
_REVOKE = f"""
update registry.share set revoked_at = coalesce(revoked_at, now()), revoked_by = coalesce(revoked_by, %(subject)s)
where share_id = %(share)s and {_OWN} returning {_COLUMNS}
"""  # noqa: S608 - a constant
_BY_HASH = """
select name, devices, fleets, valid_from, valid_to, revoked_at from registry.share where hash = %s
"""


@dataclass(frozen=True, slots=True)
class Share:
    """A guest link that was believed."""

    name: str
    devices: tuple[str, ...]
    fleets: frozenset[str]
    valid_from: datetime
    valid_to: datetime


class Shares:
    """Guest links of a region.

    Promises
    - A link is believed from its beginning to its end, until KEPT_S after it was revoked.
    - Guessing costs the guesser: secrets that nobody has are asked of Postgres at the rate of one token.
    """

    def __init__(self, postgres: Postgres, rates: Rates) -> None:
        self._postgres, self._rates = postgres, rates
        self._kept: OrderedDict[bytes, tuple[float, Share]] = OrderedDict()

    async def put(
        self, caller: Caller, name: str, devices: list[str], valid_from: datetime, valid_to: datetime
    ) -> tuple[Row, str]:
        """A new link and its secret, which nobody can read again. Raises NotFound for a device of others."""
        found = await self._postgres.rows(_FLEETS, _narrowed(caller) | {"devices": devices})
        if {row["device_id"] for row in found} != set(devices):
            raise NotFound("a device is not among those of the token's fleets")
        secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        values = {
            "hash": _hashed(secret),
            "name": name,
            "devices": sorted(set(devices)),
            "of": sorted({row["fleet_id"] for row in found}),
            "valid_from": valid_from,
            "valid_to": valid_to,
            "subject": caller.subject,
        }
        (row,) = await self._postgres.rows(_PUT, values)
        return row, secret

    async def page(self, caller: Caller, after: UUID | None, limit: int) -> list[Row]:
        """Links whose devices are all of the caller's fleets, one more than the page."""
        return await self._postgres.rows(_LIST, _narrowed(caller) | {"after": after, "limit": limit + 1})

    async def revoke(self, caller: Caller, share: UUID) -> Row:
        """Revoke a link. Raises NotFound."""
        rows = await self._postgres.rows(_REVOKE, _narrowed(caller) | {"share": share, "subject": caller.subject})
        if not rows:
            raise NotFound("no such guest link among those of the token's fleets")
        return rows[0]

    async def believed(self, secret: str) -> Share:
        """The link of a secret. Raises NotAuthenticated, TooMany, StoreAway."""
        name = _hashed(secret)
        kept = self._kept.get(name)
        self._rates.take(_UNKNOWN if kept is None else name.hex())
        if kept is None or kept[0] < time.monotonic():
            kept = time.monotonic() + KEPT_S, await self._read(name)
            self._kept[name] = kept
            self._kept.move_to_end(name)
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        share = kept[1]
        if not share.valid_from <= datetime.now(UTC) < share.valid_to:
            raise NotAuthenticated("the link does not hold now; ask whoever sent it for another")
        return share

    async def _read(self, name: bytes) -> Share:
        rows = await self._postgres.rows(_BY_HASH, (name,))
        if not rows or rows[0]["revoked_at"] is not None:
            self._kept.pop(name, None)
            raise NotAuthenticated("there is no such link, or it was revoked")
        (row,) = rows
        return Share(row["name"], tuple(row["devices"]), frozenset(row["fleets"]), row["valid_from"], row["valid_to"])


def _hashed(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _narrowed(caller: Caller) -> dict[str, object]:
    return {"all": caller.sees_all, "fleets": list(caller.fleets)}
