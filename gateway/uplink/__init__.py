"""Devices' side of the gateway, for simulated fleets: each device a connection of its own, by MQTT or HTTP."""

from gateway.uplink.line import Answers, Endpoint, Habits
from gateway.uplink.uplink import Uplink

__all__ = ["Answers", "Endpoint", "Habits", "Uplink"]
