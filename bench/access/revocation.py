"""Access of some of many live devices is revoked: how soon their sessions end, and that nobody else's does.

FLEETLAKE_BENCH_REVOKE_OF (1,000) devices are connected; every tenth is revoked.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop

import stack
from bench.access.fleet import FLEET, Device, client_tls
from bench.access.storm import TUNING, WORKERS
from bench.one_region import REGION
from bench.rows import Row
from bench.team import quantile
from contracts.settings import RegionSettings
from gateway.admin.devices import add_ca, set_access
from gateway.identity.laptop import fleet_authority, folder_of
from gateway.identity.model import Access
from gateway.service.hub import tell
from gateway.uplink import Answers, Endpoint
from tests.builders.gateway import GatewayProcess

_WITHIN_S = 120.0
_COME_BACK_S = 5.0


@dataclass(frozen=True)
class Outcome:
    """Seconds from the order to each session's end; devices that came back, and others that were cut off."""

    revoked: int
    ended_s: list[float]
    came_back: int
    others_harmed: int


def revocation_rows(state: Path) -> list[Row]:
    """The figures on a running stack of one region; raises AssertionError where one came back or another was harmed."""
    outcome = revoke_some(state, int(os.environ.get("FLEETLAKE_BENCH_REVOKE_OF", "1000")))
    check(outcome)
    of = f"of {outcome.revoked} revoked devices"
    return [
        Row(id="revocation_p99_ms", what=f"session's end, p99 {of}", value=_ms(outcome, 0.99), unit="ms"),
        Row(what=f"session's end, p50 {of}", value=_ms(outcome, 0.5), unit="ms"),
        Row(what="revoked devices that came back", value=outcome.came_back, unit="devices"),
        Row(what="other devices whose session ended", value=outcome.others_harmed, unit="devices"),
    ]


def check(outcome: Outcome) -> None:
    """Raise AssertionError where a promise was broken."""
    assert len(outcome.ended_s) == outcome.revoked, outcome
    assert (outcome.came_back, outcome.others_harmed) == (0, 0), outcome


def revoke_some(state: Path, devices: int) -> Outcome:
    """Connect them, and revoke every tenth."""
    environment = stack.region_environment(state, REGION, {})
    settings = RegionSettings.load(environment)
    add_ca(settings, FLEET, fleet_authority(folder_of(settings.state, REGION), FLEET).certificate, "active")
    gateway = GatewayProcess(environment, workers=WORKERS, **TUNING)
    try:
        return uvloop.run(_measure(settings, gateway.ready().port("mqtt"), devices))
    finally:
        gateway.kill()


class _Live(Device):
    """Knows when its connection ended last."""

    ends = 0
    ended_s = 0.0

    async def converse(self) -> bool:
        """As its kind does."""
        try:
            return await super().converse()
        finally:
            self.ends += 1
            self.ended_s = time.monotonic()


async def _measure(settings: RegionSettings, port: int, count: int) -> Outcome:
    names = [f"live-{number:05d}" for number in range(count)]
    contexts = await asyncio.to_thread(client_tls, settings, names)
    endpoint = Endpoint("127.0.0.1", port, "localhost")
    devices = [_Live(name, endpoint, tls, Answers()) for name, tls in zip(names, contexts, strict=True)]
    lines = [asyncio.create_task(device.run()) for device in devices]
    try:
        await _answered(devices)
        before = {device: device.ends for device in devices}
        revoked = devices[::10]
        others = [device for device in devices if device not in set(revoked)]
        began_s = time.monotonic()
        await asyncio.to_thread(_revoke, settings, [device.device_id for device in revoked])
        deadline = time.monotonic() + _WITHIN_S
        while any(device.ends == before[device] for device in revoked) and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        ended_s = [device.ended_s - began_s for device in revoked if device.ends > before[device]]
        got = [len(device.got) for device in revoked]
        for device in revoked:
            device.report()
        await _answered(others)
        await asyncio.sleep(_COME_BACK_S)
        came_back = sum(len(device.got) > had for device, had in zip(revoked, got, strict=True))
        return Outcome(len(revoked), ended_s, came_back, sum(device.ends > before[device] for device in others))
    finally:
        for line in lines:
            line.cancel()
        await asyncio.gather(*lines, return_exceptions=True)


def _revoke(settings: RegionSettings, device_ids: list[str]) -> None:
    """As `fleetlake device revoke` does."""
    set_access(settings, device_ids, Access.REVOKED)
    assert tell(settings.redis_url.get_secret_value(), settings.region, device_ids)


async def _answered(devices: list[_Live]) -> None:
    """Each reports, and is answered."""
    for place, device in enumerate(devices):
        device.report()
        if place % 10 == 0:
            await asyncio.sleep(0.01)
    deadline = time.monotonic() + _WITHIN_S
    while any(len(device.got) < device.sent for device in devices):
        assert time.monotonic() < deadline, "not every device was answered"
        await asyncio.sleep(0.05)


def _ms(outcome: Outcome, share: float) -> float:
    return 1e3 * quantile(outcome.ended_s, share)
