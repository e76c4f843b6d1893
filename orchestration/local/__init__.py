"""Dagster's processes on one machine, and what runs without a daemon."""
