"""Bearer tokens: JSON Web Tokens (RFC 7519) that a key of the key set signed, checked once and remembered."""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from hashlib import blake2b

import msgspec
from joserfc import jws
from joserfc.errors import JoseError

from serving.access.caller import Caller, Role, fleets_in
from serving.access.keys import Keys
from serving.problems import Forbidden, NotAuthenticated

ALGORITHMS = ("EdDSA", "Ed25519", "ES256", "RS256")
"""RS256 because most OIDC providers sign by it; the laptop's own tokens are Ed25519."""
MOST_BYTES = 8_192
SKEW_S = 60.0
_REMEMBERED = 10_000


class _Claims(msgspec.Struct):
    exp: float
    aud: str | list[str]
    regions: list[str]
    fleets: list[str] | dict[str, list[str]]
    sub: str = ""
    iss: str = ""
    jti: str = ""
    role: Role = Role.viewer
    nbf: float = 0.0


class Tokens:
    """Tells who a token is of.

    Promises
    - A token is believed only if a key of the set signed it by an asymmetric algorithm, it is for this audience, issuer
      and region, it holds now, and it was not revoked.
    - A token that names no fleets sees none.
    """

    def __init__(
        self,
        keys: Keys,
        region: str,
        *,
        audience: str,
        issuer: str | None,
        longest_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys, self._region, self._clock = keys, region, clock
        self._audience, self._issuer, self._longest_s = audience, issuer, longest_s
        self._known: OrderedDict[bytes, Caller] = OrderedDict()
        self.denied: Collection[str] = frozenset()
        """Ids of tokens that were revoked."""

    async def caller(self, token: str) -> Caller:
        """Who the token is of. Raises NotAuthenticated or Forbidden."""
        name = blake2b(token.encode(), digest_size=16).digest()
        caller = self._known.get(name)
        if caller is None:
            caller = await self._checked(token)
            self._known[name] = caller
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        if caller.ends_s <= self._clock():
            self._known.pop(name, None)
            raise NotAuthenticated("the token has expired; get a new one")
        if caller.token_id in self.denied:
            raise NotAuthenticated("the token was revoked; get a new one")
        if self._region not in caller.regions:
            raise Forbidden("the token is not for this region")
        return caller

    async def _checked(self, token: str) -> Caller:
        claims = await self._claims(token)
        now = self._clock()
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if self._audience not in audiences or (self._issuer is not None and claims.iss != self._issuer):
            raise NotAuthenticated("the token is of another issuer or audience")
        if claims.exp <= now or claims.nbf > now + SKEW_S:
            raise NotAuthenticated("the token has expired or does not hold yet; get a new one")
        if claims.exp > now + self._longest_s + SKEW_S:
            raise NotAuthenticated(f"the token holds longer than {self._longest_s / 3600:g} h; get one for less time")
        return Caller(
            subject=claims.sub,
            token_id=claims.jti or blake2b(token.encode(), digest_size=12).hexdigest(),
            role=claims.role,
            regions=frozenset(claims.regions),
            fleets=fleets_in(claims.fleets, self._region),
            ends_s=claims.exp,
        )

    async def _claims(self, token: str) -> _Claims:
        if len(token) > MOST_BYTES:
            raise NotAuthenticated("the token is too long")
        try:
            header = jws.extract_compact(token.encode()).headers()
            keys = await self._keys.get(header.get("kid"))
            signed = jws.deserialize_compact(token, keys, algorithms=list(ALGORITHMS))
            return msgspec.json.decode(signed.payload, type=_Claims)
        except (JoseError, msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            raise NotAuthenticated("no key of the key set signed the token, or it lacks claims") from None
