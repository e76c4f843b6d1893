"""Simulated fleets: vehicles that are plausible, repeatable by seed, and as messy as the field where asked."""

from devices.fleet.mess import Mess
from devices.fleet.simulation import Simulation, SimulationReport, simulate
from devices.fleet.window import check, check_not_ahead, default_start

__all__ = ["Mess", "Simulation", "SimulationReport", "check", "check_not_ahead", "default_start", "simulate"]
