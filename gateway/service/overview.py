"""What a region's gateway processes on this machine do, from their own pages: for `fleetlake top`."""

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from gateway.service.pages import Health

_PATIENCE_S = 2.0
_PREFIX = "fleetlake_gateway_"
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError, ValueError)
_PAGES = ".url"


class GatewayView(msgspec.Struct, kw_only=True):
    """One process. Rates are since the last look, None at the first.

    acknowledge_ms: mean time from a message to its acknowledgement since the last look, None where there was none.
    refused: connections, requests and messages refused since the process began, by reason.
    """

    process: str
    pages: str
    ready: bool
    draining: bool
    connections: int
    sessions: int
    messages_per_s: float | None
    acknowledged_per_s: float | None
    acknowledge_ms: float | None
    handshakes_per_s: float | None
    refused: dict[str, int]
    held_share: float | None
    """Payload without an answer, of what is allowed before reading pauses."""
    away: dict[str, float]
    """The stream, the registry or the hub of revocations, where it does not answer; seconds, 0 where not known."""


class _Page(msgspec.Struct):
    """A process's health and metrics, by name and by the labels' values."""

    url: str
    health: Health
    values: dict[str, dict[tuple[str, ...], float]]
    at_s: float

    def total(self, name: str) -> float:
        return sum(self.values.get(_PREFIX + name, {}).values())


class GatewayOverlook:
    """Looks at processes repeatedly; rates are differences to the last look."""

    def __init__(self) -> None:
        self._before: dict[str, _Page] = {}

    async def look(self, urls: Iterable[str]) -> list[GatewayView]:
        """The processes whose pages at these URLs answer."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_PATIENCE_S)) as session:
            found = await asyncio.gather(*(_page(session, url) for url in dict.fromkeys(urls)))
        pages = {page.health.process: page for page in found if page is not None}
        views = [_view(page, self._before.get(process)) for process, page in sorted(pages.items())]
        self._before = pages
        return views


def announce(state: Path, region: str, url: str) -> Path:
    """Publish the URL of this process's pages to programs of this machine; the file is to be removed at its end.

    Files of processes that were killed are removed.
    """
    folder = state / "gateway" / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob(f"{region}-*{_PAGES}"):
        if not _lives(int(path.stem.rpartition("-")[2])):
            path.unlink(missing_ok=True)
    own = folder / f"{region}-{os.getpid()}{_PAGES}"
    own.write_text(url, encoding="utf-8")
    return own


def announced(state: Path, region: str) -> list[str]:
    """The URLs of the pages of a region's processes on this machine, killed ones included."""
    found = []
    for path in sorted((state / "gateway" / "pages").glob(f"{region}-*{_PAGES}")):
        with suppress(FileNotFoundError):  # a process that ends meanwhile takes it away
            found.append(path.read_text(encoding="utf-8"))
    return found


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _view(page: _Page, before: _Page | None) -> GatewayView:
    limit = page.total("held_limit_bytes")
    health = page.health
    away = {"stream": health.stream_down_s} if health.stream_down_s else {}
    away |= {"registry": 0.0} if health.registry_away else {}
    away |= {} if health.hub_up else {"hub": 0.0}
    return GatewayView(
        process=health.process,
        pages=page.url,
        ready=health.ready,
        draining=health.draining,
        connections=health.connections,
        sessions=health.sessions,
        messages_per_s=_rate("messages_total", page, before),
        acknowledged_per_s=_rate("acknowledged_total", page, before),
        acknowledge_ms=_mean_ms(page, before),
        handshakes_per_s=_rate("handshakes_total", page, before),
        refused=_by_reason(page),
        held_share=page.total("held_bytes") / limit if limit else None,
        away=away,
    )


def _by_reason(page: _Page) -> dict[str, int]:
    counts = {labels[0]: int(value) for labels, value in page.values.get(_PREFIX + "refused_total", {}).items()}
    return dict(sorted(counts.items(), key=lambda one: -one[1]))


def _rate(name: str, page: _Page, before: _Page | None) -> float | None:
    if before is None or page.at_s <= before.at_s:
        return None
    return (page.total(name) - before.total(name)) / (page.at_s - before.at_s)


def _mean_ms(page: _Page, before: _Page | None) -> float | None:
    if before is None:
        return None
    count, seconds = (
        page.total(f"acknowledge_seconds_{part}") - before.total(f"acknowledge_seconds_{part}")
        for part in ("count", "sum")
    )
    return 1_000 * seconds / count if count else None


async def _page(session: aiohttp.ClientSession, url: str) -> _Page | None:
    try:
        async with session.get(f"{url}/readyz") as answer:
            health = msgspec.json.decode(await answer.read(), type=Health)
        async with session.get(f"{url}/metrics") as answer:
            text = await answer.text()
        return _Page(url, health, _values(text), asyncio.get_running_loop().time())
    except _BROKEN:
        return None


def _values(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found
