"""Trips: a device's points, the intervals between them, and how they are cut."""
