"""Simulated fleets through the gateway: a certificate a device, by CAs that this machine keeps."""

import math
import ssl
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from contracts.registry import Register
    from contracts.settings import RegionSettings
    from devices.fleet import Simulation, SimulationReport
    from devices.send import Progress
    from gateway.identity.authority import Pair
    from gateway.uplink import Endpoint, Habits

_HEARD_WITHIN_S = 1.0
"""The gateway's processes hear of new CAs by then."""
_SLEEPS_S, _ROAMS_S = (6.0, 300.0), (20.0, 1_800.0)
"""When a device without anything to say says goodbye, and when its network changes: at the least, and by its clock."""
_HERE = ("0.0.0.0", "::")  # noqa: S104


def simulate_via(
    via: str,
    simulation: "Simulation",
    settings: "RegionSettings",
    register: "Register",
    *,
    rate: float | None,
    progress: "Progress",
) -> "SimulationReport":
    """Register the fleets, have the gateway believe their CAs, and send their records to it."""
    from devices.fleet import register_fleets, send_simulated
    from gateway.uplink import Uplink

    register_fleets(simulation, register)
    credentials = DeviceTls(settings, simulation)
    credentials.announce()
    spoken = cast(Literal["mqtt", "http"], via)
    with Uplink(spoken, _endpoint(settings, via), credentials, habits=_habits(rate)) as uplink:
        report = send_simulated(simulation, settings.region, uplink, rate=rate, via=via, progress=progress)
        answers = uplink.answers
    told = {"acknowledged": answers.acknowledged, "messages": answers.messages, "refused": dict(answers.refused)}
    ends = {"reconnects": answers.reconnects, "slept": answers.slept, "roamed": answers.roamed}
    return replace(report, gateway=told | ends)


def _habits(rate: float | None) -> "Habits":
    """As the vehicles' clocks go, but not so often that the gateway takes it for flapping.

    rate: times real time; None is as fast as possible.
    """
    from gateway.uplink import Habits

    (least_sleep_s, sleep_s), (least_roam_s, roam_s) = _SLEEPS_S, _ROAMS_S
    times = math.inf if rate is None else rate
    return Habits(max(least_sleep_s, sleep_s / times), max(least_roam_s, roam_s / times))


class DeviceTls:
    """Client TLS of simulated devices."""

    def __init__(self, settings: "RegionSettings", simulation: "Simulation") -> None:
        from gateway.identity.laptop import fleet_authority, folder_of

        self._settings = settings
        self._folder = folder_of(settings.state, settings.region)
        self._fleets = {vehicle.device_id: vehicle.fleet_id for vehicle in simulation.roster.vehicles}
        fleets = sorted(set(self._fleets.values()))
        self._authorities: dict[str, Pair] = {fleet: fleet_authority(self._folder, fleet) for fleet in fleets}

    def announce(self) -> None:
        """Have the gateway believe the fleets' CAs."""
        from gateway.admin.devices import add_ca
        from gateway.service.hub import tell

        for fleet, authority in self._authorities.items():
            add_ca(self._settings, fleet, authority.certificate)
        if tell(self._settings.redis_url.get_secret_value(), self._settings.region, [], cas=True):
            time.sleep(_HEARD_WITHIN_S)

    def __call__(self, device_id: str) -> ssl.SSLContext:
        """A context with a new certificate of the device."""
        from gateway.identity.laptop import device_files, server_files

        own = self._settings.gateway.certificate
        context = ssl.create_default_context(cafile=None if own else str(server_files(self._folder).ca))
        with tempfile.TemporaryDirectory(prefix="fleetlake-device-") as folder:
            authority = self._authorities[self._fleets[device_id]]
            context.load_cert_chain(*device_files(Path(folder), authority, device_id))
        return context


def _endpoint(settings: "RegionSettings", via: str) -> "Endpoint":
    from contracts.ports import HOST
    from gateway.uplink import Endpoint

    own = settings.gateway
    host = HOST if own.host in _HERE else own.host
    port = own.mqtt_port if via == "mqtt" else own.http_port
    return Endpoint(host, port, host if own.certificate else "localhost")
