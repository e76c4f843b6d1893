"""The embedded services for a laptop: start, stop, status, and one region's credentials at a time."""

from stack.environments import dagster_environment, region_environment, world_environment
from stack.lifecycle import down, known_regions, known_site, new_regions, running_site, services_status, up
from stack.report import status

__all__ = [
    "dagster_environment",
    "down",
    "known_regions",
    "known_site",
    "new_regions",
    "region_environment",
    "running_site",
    "services_status",
    "status",
    "up",
    "world_environment",
]
