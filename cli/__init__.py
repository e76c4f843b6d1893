"""The `fleetlake` command: one module per command, each a few lines that call a room."""
