"""Limits: rates by device, fleet and source, and what a process may hold. State is bounded whatever comes."""
