"""The `fleetlake` command: one module a command, each a few lines that call a room."""
