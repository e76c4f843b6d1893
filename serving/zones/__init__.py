"""Zones: polygons of a fleet, and when its devices were in them."""
