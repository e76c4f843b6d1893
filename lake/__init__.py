"""Spark and Iceberg: history, what is derived from it, and the spot query."""
