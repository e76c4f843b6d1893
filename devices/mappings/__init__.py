"""Mappings that ship with Fleetlake: one TOML file for each published data set that it knows."""
