"""Replays telemetry files through the stream: Parquet, CSV and JSON Lines, in file order or by event time."""

from contracts.mapping import Mapping
from devices.replay.feed import Feed, open_feed
from devices.replay.mapping import load_mapping, shipped_mappings
from devices.replay.replay import ReplayReport, rehearse, replay

__all__ = ["Feed", "Mapping", "ReplayReport", "load_mapping", "open_feed", "rehearse", "replay", "shipped_mappings"]
