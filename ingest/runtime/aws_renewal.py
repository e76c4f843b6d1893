"""When credentials that expire are asked for anew: at half of a short life, at once where a service refused them."""

import math
from typing import Any

from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials

EXPIRED = {"ExpiredToken", "ExpiredTokenException"}
"""What a service answers to credentials whose end has passed, whatever this machine's clock says."""
_ADVISED_S, _DEMANDED_S = 15 * 60.0, 10 * 60.0
"""botocore's margins: from then on each request tries to refresh, or fails where it cannot."""


class Renewal:
    """The credentials of one client, with margins that suit how long they live.

    botocore asks the source from 15 minutes before the end. A session may be as short as that, and then every request
    would ask; and an error of the source would fail every request, though the credentials are good.

    Promises
    - Credentials of half an hour or less are asked for from half of their life on, and are used until a quarter of it
      is left where the source does not answer.
    - After `refused`, the next request asks, whatever end they claim: this machine's clock may be wrong, or they were
      revoked.
    """

    def __init__(self) -> None:
        self._newest: ReadOnlyCredentials | None = None

    def frozen(self, credentials: Credentials) -> ReadOnlyCredentials:
        """The credentials to sign one request with; may ask their source, and block."""
        frozen = credentials.get_frozen_credentials()
        if frozen is not self._newest:
            self._newest = frozen
            _fit(credentials)
        return frozen

    def refused(self, credentials: Credentials | None) -> None:
        """A service said that they have expired."""
        held = _renewable(credentials)
        if held is not None:
            self._newest = None
            held._advisory_refresh_timeout = held._mandatory_refresh_timeout = math.inf


def _fit(credentials: Credentials) -> None:
    held = _renewable(credentials)
    if held is not None and held._expiry_time is not None:
        left_s = held._seconds_remaining()
        held._advisory_refresh_timeout = min(_ADVISED_S, left_s / 2)
        held._mandatory_refresh_timeout = min(_DEMANDED_S, left_s / 4)


def _renewable(credentials: Credentials | None) -> Any:
    """These credentials, where they have an end; the attributes used of them are botocore's own and in no stub."""
    return credentials if isinstance(credentials, RefreshableCredentials) else None
