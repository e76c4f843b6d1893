"""Where each device is now, kept in the process: one table that follows `R:changed`."""
