"""The heartbeat of Dagster's sensor daemon on this instance."""

import time

from dagster import DagsterInstance

SENSOR_DAEMON = "SENSOR"
ALIVE_WITHIN_S = 75.0
"""The daemon sends one every 30 s."""


def is_alive(instance: DagsterInstance) -> bool:
    """Whether the daemon has sent a heartbeat lately."""
    beat = instance.get_daemon_heartbeats().get(SENSOR_DAEMON)
    return beat is not None and time.time() - beat.timestamp < ALIVE_WITHIN_S


def forget(instance: DagsterInstance) -> None:
    """Delete the heartbeats of a daemon that has ended, so that nothing waits for it."""
    instance.wipe_daemon_heartbeats()
