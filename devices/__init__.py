"""Stand-ins for devices: the fleet simulator, and the replay of files with mappings."""
