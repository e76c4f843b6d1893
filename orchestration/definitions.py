"""One code location's definitions by name."""

from dagster import Definitions

from contracts.errors import BadSettings
from contracts.regions import WORLD, find_region


def definitions(name: str | None) -> Definitions:
    """The code location of a region, or of `world`. Raises BadSettings without a name, UnknownRegion for another."""
    if not name:
        raise BadSettings("FLEETLAKE_REGION is not set; a code server serves one region, or world")
    if name == WORLD:
        from orchestration.world import world_definitions

        return world_definitions()
    from orchestration.region import region_definitions

    return region_definitions(find_region(name))
