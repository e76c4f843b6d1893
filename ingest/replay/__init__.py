"""Replay: puts rejected records back on their stream, once each and with their origin."""

from ingest.replay.replay import Replayer, ReplayReport
from ingest.replay.service import replay_rejected

__all__ = ["ReplayReport", "Replayer", "replay_rejected"]
