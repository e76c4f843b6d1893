"""The spot query: one device's past, from history, uncompacted landing and live state together."""

from lake.trail.model import Sources, Trail
from lake.trail.spot_query import SpotQuery, trail

__all__ = ["Sources", "SpotQuery", "Trail", "trail"]
