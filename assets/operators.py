"""The operators of a location: whom to tell what is wrong, what the stores say of it, how long runs are kept."""

import json
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.error import URLError

import msgspec

from contracts.errors import FleetlakeError
from contracts.settings import AlertSettings, RegionSettings, WorldSettings

_WITHIN_S = 10.0
_WORDS = {
    "consumer": ("shards were not read", "see whether `fleetlake consume` runs (docs/how-to/operate-the-consumer.md)"),
    "merge": ("landed objects wait to be merged", "look at the runs of {region}/landing"),
    "derive": ("business days wait to be derived", "look at the runs of {region}/days"),
    "marts": ("business days wait for their marts", "look at the runs of {region}/marts and {region}/days"),
}


class AlertNotTaken(FleetlakeError):
    """The receiver of alerts did not take one; it is told again."""


class Trouble(msgspec.Struct, frozen=True):
    """Something that is wrong now. It names no device."""

    key: str
    """The same for as long as it lasts."""
    title: str
    advice: str


class Operators(Protocol):
    """Where a location's troubles are told, those that its stores know of, and how long its runs are kept."""

    @property
    def is_on(self) -> bool:
        """Whether anybody is to be told."""
        ...

    def late(self) -> Sequence[Trouble]:
        """What waits too long in the stores."""
        ...

    def tell(self, message: Mapping[str, Any]) -> None:
        """Tell it. Raises AlertNotTaken."""
        ...

    @property
    def run_log_days(self) -> int:
        """For how many days runs and their events are kept; 0 keeps them for ever."""
        ...


class LakeOperators:
    """The operators of a region, or of `world`, whose stores know of nothing that waits."""

    def __init__(self, settings: RegionSettings | WorldSettings) -> None:
        self._settings = settings

    @property
    def _own(self) -> AlertSettings:
        return self._settings.alerts

    @property
    def is_on(self) -> bool:
        """See Operators."""
        return self._own.url is not None

    @property
    def run_log_days(self) -> int:
        """See Operators."""
        return self._settings.run_log_days

    def late(self) -> Sequence[Trouble]:
        """See Operators."""
        if isinstance(self._settings, WorldSettings):
            return []
        from marts.lateness import late

        region = self._settings.region
        return [
            Trouble(
                f"late/{one.stage}",
                f"{one.count:,} {_WORDS[one.stage][0]} since {one.since:%Y-%m-%d %H:%M} UTC",
                _WORDS[one.stage][1].format(region=region),
            )
            for one in late(self._settings, self._own.late_h)
        ]

    def tell(self, message: Mapping[str, Any]) -> None:
        """See Operators."""
        url = self._own.url
        if url is None:
            return
        body = json.dumps(message).encode()
        request = urllib.request.Request(  # noqa: S310 - the operator's own setting, http or https
            url.get_secret_value(), body, {"content-type": "application/json", "user-agent": "Fleetlake-Alerts/1"}
        )
        try:
            with urllib.request.urlopen(request, timeout=_WITHIN_S):  # noqa: S310 - as above
                pass
        except (URLError, OSError) as error:
            # The address may hold a secret of the receiver's: it is not repeated.
            said = getattr(error, "code", None) or type(getattr(error, "reason", error)).__name__
            raise AlertNotTaken(f"FLEETLAKE_ALERTS_URL does not take alerts ({said}); they are told again") from None
