"""Rebuilds a region's live state from history and landing while consumers go on."""

import asyncio
from uuid import uuid4

from contracts.settings import RegionSettings
from ingest.runtime.metrics import Metrics
from ingest.service.one_worker import close, parts_of, with_suppression
from ingest.worker import Options
from ingest.worker.compose import live_state_rebuilder
from ingest.worker.live.rebuild import History


def rebuild_live(settings: RegionSettings, history: History) -> bool:
    """Write history's rows and what landed through the newer-than guard, and set `R:epoch` last; whether it was set.

    It is not set where an object has expired that history does not hold, or where live state was lost again meanwhile:
    the log says which. Waits until what consumers held at the beginning has landed. Workers that see the epoch do not
    rebuild themselves.
    Raises SinkUnavailable, StreamUnavailable.
    """
    return asyncio.run(_rebuild(settings, history))


async def _rebuild(settings: RegionSettings, history: History) -> bool:
    parts = parts_of(settings, Metrics(settings.region))
    try:
        await with_suppression(parts)
        name = f"rebuild-live.{uuid4().hex}"
        rebuilder = live_state_rebuilder(parts, Options.of(settings), name, history=history)
        return rebuilder is not None and await rebuilder.rebuild(elected=True)
    finally:
        await close(parts)
