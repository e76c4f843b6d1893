"""Whether a daemon evaluates sensors on this instance."""

import time

from dagster import DagsterInstance

SENSOR_DAEMON = "SENSOR"
ALIVE_WITHIN_S = 75.0
"""The daemon's heart beats every 30 s."""


def is_alive(instance: DagsterInstance) -> bool:
    """Whether the daemon's heart beat lately."""
    beat = instance.get_daemon_heartbeats().get(SENSOR_DAEMON)
    return beat is not None and time.time() - beat.timestamp < ALIVE_WITHIN_S


def forget(instance: DagsterInstance) -> None:
    """Take the daemon's heartbeats away once it has ended, so that nobody waits for it."""
    instance.wipe_daemon_heartbeats()
