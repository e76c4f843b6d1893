"""Dagster: one `Definitions` a region and one for the world."""
