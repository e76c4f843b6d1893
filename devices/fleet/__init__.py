"""Simulated fleets: plausible vehicles, repeatable by seed, with the data errors of the field on request."""

from devices.fleet.mess import Mess
from devices.fleet.simulation import Simulation, SimulationReport, register_fleets, send_simulated, simulate
from devices.fleet.window import check, check_not_ahead, default_start

__all__ = [
    "Mess",
    "Simulation",
    "SimulationReport",
    "check",
    "check_not_ahead",
    "default_start",
    "register_fleets",
    "send_simulated",
    "simulate",
]
