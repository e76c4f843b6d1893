"""Where a worker's pages are served."""

import asyncio
import socket

import aiohttp
import pytest

from contracts.errors import Misuse, PortTaken
from ingest.runtime.metrics import Metrics
from ingest.service.health import HealthServer
from ingest.worker import Health

WELL = Health(
    worker="w",
    alive=True,
    ready=True,
    reasons=[],
    shards=[],
    down_s={},
    buffer_bytes=0,
    reading_paused_s=0.0,
    live_complete=True,
)


async def _served(host: str, *, asked: str = "") -> tuple[str, int]:
    """The URL told, and the status of /healthz there or at the host asked."""
    server = HealthServer(lambda: WELL, Metrics(), lambda: None)
    url = await server.start(0, host)
    try:
        async with aiohttp.ClientSession() as session:
            at = url if not asked else f"http://{asked}:{url.rpartition(':')[2]}"
            async with session.get(f"{at}/healthz") as answer:
                return url, answer.status
    finally:
        await server.stop()


def test_pages_are_this_machines_alone_where_nothing_else_is_set() -> None:
    with pytest.raises(aiohttp.ClientConnectorError):
        asyncio.run(_served("127.0.0.1", asked="127.0.0.2"))
    url, status = asyncio.run(_served("127.0.0.1"))
    assert (url.rpartition(":")[0], status) == ("http://127.0.0.1", 200)


def test_pages_on_every_interface_are_reached_by_others_and_announced_to_this_machine() -> None:
    url, status = asyncio.run(_served("0.0.0.0", asked="127.0.0.2"))
    assert (url.rpartition(":")[0], status) == ("http://127.0.0.1", 200)


def test_an_address_of_another_machine_is_told_as_misuse() -> None:
    with pytest.raises(Misuse, match="FLEETLAKE_METRICS_HOST"):
        asyncio.run(_served("192.0.2.1"))


def test_a_port_in_use_is_told_with_the_setting() -> None:
    async def story() -> None:
        await HealthServer(lambda: WELL, Metrics(), lambda: None).start(held.getsockname()[1])

    with socket.create_server(("127.0.0.1", 0)) as held, pytest.raises(PortTaken, match="FLEETLAKE_METRICS_PORT"):
        asyncio.run(story())
