"""The demo: the whole system on this machine with simulated fleets, then a report."""
