"""A region's live state, built anew from history and landing while consumers go on."""

import asyncio
from uuid import uuid4

from contracts.settings import RegionSettings
from ingest.runtime.metrics import Metrics
from ingest.service.one_worker import close, parts_of
from ingest.worker import Options
from ingest.worker.live.rebuild import History, LiveStateRebuilder


def rebuild_live(settings: RegionSettings, history: History) -> bool:
    """Write history's rows and what landed through the newer-than guard, and set `R:epoch` last; whether it was set.

    It is not where an object has expired that history does not hold, or where live state was lost again meanwhile: the
    log says which. Comes back once what consumers held at its begin has landed. Workers see the epoch, and rest.
    Raises SinkUnavailable, StreamUnavailable.
    """
    return asyncio.run(_rebuild(settings, history))


async def _rebuild(settings: RegionSettings, history: History) -> bool:
    parts = parts_of(settings, Metrics(settings.region))
    try:
        if parts.live is None:
            return False
        unseen_ms = Options.of(settings).live_unseen_ms
        name = f"rebuild-live.{uuid4().hex}"
        rebuilder = LiveStateRebuilder(parts.live, parts, worker=name, unseen_ms=unseen_ms, history=history)
        return await rebuilder.rebuild(elected=True)
    finally:
        await close(parts)
