"""What is remembered of the registry, with a bounded age, so that known devices work on while Postgres is away."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from contracts.errors import StoreUnavailable
from gateway.identity.model import FleetCa, KnownDevice
from gateway.identity.registry import Registry
from gateway.identity.shared import SharedMemory

MOST_DEVICES = 200_000
"""Devices that one process remembers."""
MOST_A_QUERY = 1_000
ASK_AGAIN_S = 2.0
"""A registry that did not answer is asked again after so long; until then what is remembered answers at once."""


@dataclass(slots=True)
class _Remembered:
    device: KnownDevice | None
    read_s: float


class Directory:
    """Devices by id, read from the registry in batches.

    Promises
    - An answer is at most `age_s` old, or at most `stale_s` while the registry does not answer; then what another
      process remembers counts too.
    - `forget` makes the next question ask the registry; so does an unknown device, always.
    - Questions that come while a query runs share the next one, so that a storm asks in batches.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        age_s: float,
        stale_s: float,
        clock: Callable[[], float],
        shared: SharedMemory | None = None,
    ) -> None:
        self.away = False
        """Whether the registry did not answer the last question."""
        self._registry, self._shared = registry, shared
        self._age_s, self._stale_s = age_s, stale_s
        self._clock = clock
        self._known: OrderedDict[str, _Remembered] = OrderedDict()
        self._asked: dict[str, asyncio.Future[None]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._cas: list[FleetCa] = []
        self._failed_s = 0.0

    @property
    def cas(self) -> list[FleetCa]:
        """The fleet CAs as last read."""
        return self._cas

    async def read_cas(self) -> bool:
        """Read the fleet CAs; whether they changed. Raises StoreUnavailable."""
        try:
            found = await self._registry.cas()
        except StoreUnavailable:
            self._failed()
            remembered = await self._shared.cas() if self._shared is not None and not self._cas else None
            if remembered is None:
                raise
            found = remembered
        else:
            if self._shared is not None:
                self._shared.keep_cas(found)
        changed = found != self._cas
        self._cas = found
        return changed

    def forget(self, device_ids: list[str]) -> None:
        """Ask the registry about these devices at the next question."""
        for device_id in device_ids:
            if device_id in self._known:
                self._known[device_id].read_s = min(self._known[device_id].read_s, self._clock() - self._age_s)

    async def find(self, device_id: str, *, anew: bool = False) -> KnownDevice | None:
        """The device, or None where the registry has none. Raises StoreUnavailable where nothing is known of it.

        anew: as the registry has it now; as remembered where the registry does not answer.
        """
        remembered = self._known.get(device_id)
        fresh = remembered is not None and self._clock() - remembered.read_s < self._age_s
        if remembered is not None and remembered.device and fresh and not anew:
            return remembered.device
        try:
            if self.away and self._clock() - self._failed_s < ASK_AGAIN_S:
                raise StoreUnavailable("the registry did not answer a moment ago")  # noqa: TRY301
            await self._ask(device_id)
        except StoreUnavailable:
            if remembered is not None and remembered.device and self._clock() - remembered.read_s < self._stale_s:
                return remembered.device
            device = await self._find_shared(device_id)
            if device is None:
                raise
            return device
        return self._known[device_id].device

    async def _find_shared(self, device_id: str) -> KnownDevice | None:
        """What another process remembers of the device."""
        found = None if self._shared is None else await self._shared.find(device_id)
        if found is None:
            return None
        device, age_s = found
        self._remember(device_id, _Remembered(device, self._clock() - max(age_s, self._age_s)))
        return device

    async def _ask(self, device_id: str) -> None:
        future = self._asked.get(device_id)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            # Where everyone who asked is gone, nobody retrieves the error.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._asked[device_id] = future
            if self._asking is None:
                self._asking = asyncio.get_running_loop().create_task(self._query())
        await asyncio.shield(future)

    async def _query(self) -> None:
        try:
            while self._asked:
                batch = {device_id: self._asked.pop(device_id) for device_id in list(self._asked)[:MOST_A_QUERY]}
                await self._answer(batch)
        finally:
            self._asking = None

    async def _answer(self, batch: "dict[str, asyncio.Future[None]]") -> None:
        asked_s = self._clock()
        try:
            found = await self._registry.devices(list(batch))
        except StoreUnavailable as error:
            self._failed()
            for future in batch.values():
                future.set_exception(StoreUnavailable(str(error)))
            return
        self.away = False
        if self._shared is not None:
            self._shared.keep(found)
        for device_id, future in batch.items():
            self._remember(device_id, _Remembered(found.get(device_id), asked_s))
            future.set_result(None)

    def _failed(self) -> None:
        self.away, self._failed_s = True, self._clock()

    def _remember(self, device_id: str, remembered: _Remembered) -> None:
        self._known[device_id] = remembered
        self._known.move_to_end(device_id)
        while len(self._known) > MOST_DEVICES:
            self._known.popitem(last=False)
