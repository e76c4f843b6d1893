"""The embedded services for a laptop: start, stop, status, and one region's credentials at a time."""

from stack.environments import dagster_environment, region_environment, world_environment
from stack.lifecycle import down, running_site, services_status, up

__all__ = [
    "dagster_environment",
    "down",
    "region_environment",
    "running_site",
    "services_status",
    "up",
    "world_environment",
]
