"""Peers that the benchmarks run side by side with Fleetlake."""
