"""The sessions of a process: one a device; ended where another begins or the device may no longer speak."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from gateway.identity.authenticate import Authenticator
from gateway.identity.model import Identity
from gateway.mqtt.reasons import Reason
from gateway.refusals import Refusal, Refused

AT_ONCE = 500
"""Sessions that are checked against the registry together."""


class Session(Protocol):
    """A connection that a device has with this process."""

    identity: Identity

    def end(self, reason: Reason, text: str) -> None:
        """Tell the device, where its protocol can, and close."""


class Sessions:
    """Sessions by device.

    Promises
    - A device has one session in the process; the newer one ends the older. `announce` tells other processes.
    - `check` ends each session of these devices whose device or credential no longer holds; an outage of the registry
      ends none.
    """

    def __init__(self, authenticator: Authenticator) -> None:
        self.announce: Callable[[str, int], None] = lambda device_id, began_ns: None
        self._authenticator = authenticator
        self._open: dict[str, tuple[Session, int]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def devices(self) -> list[str]:
        """Devices that have a session."""
        return list(self._open)

    def enter(self, session: Session) -> None:
        """A device's new session."""
        device_id = session.identity.device_id
        before = self._open.get(device_id)
        began_ns = time.time_ns()
        self._open[device_id] = (session, began_ns)
        if before is not None:
            before[0].end(Reason.SESSION_TAKEN_OVER, "the device connected again")
        self.announce(device_id, began_ns)

    def leave(self, session: Session) -> None:
        """The session is over."""
        entry = self._open.get(session.identity.device_id)
        if entry is not None and entry[0] is session:
            del self._open[session.identity.device_id]

    def taken_elsewhere(self, device_id: str, began_ns: int) -> None:
        """The device began a session with another process; an older one here ends."""
        entry = self._open.get(device_id)
        if entry is not None and entry[1] < began_ns:
            entry[0].end(Reason.SESSION_TAKEN_OVER, "the device connected again")

    def end_all(self, reason: Reason, text: str) -> None:
        """End every session."""
        for session, _ in list(self._open.values()):
            session.end(reason, text)

    async def check(self, device_ids: Iterable[str]) -> int:
        """Ask the registry about these devices' sessions; how many ended."""
        waiting, ended = [device for device in device_ids if device in self._open], 0
        for start in range(0, len(waiting), AT_ONCE):
            ended += sum(await asyncio.gather(*map(self._check, waiting[start : start + AT_ONCE])))
        return ended

    async def _check(self, device_id: str) -> bool:
        entry = self._open.get(device_id)
        if entry is None:
            return False
        session = entry[0]
        try:
            session.identity = await self._authenticator.again(session.identity)
        except Refused as refused:
            if refused.refusal is Refusal.REGISTRY_AWAY:
                return False
            session.end(Reason.ADMINISTRATIVE_ACTION, str(refused))
            return True
        return False
