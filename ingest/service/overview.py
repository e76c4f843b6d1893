"""An overview of a region's workers and shards, from the leases and the workers' own pages."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence

import aiohttp
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from contracts.ledger import LeaseRow
from ingest.leases.protocol import Leases
from ingest.worker import Health

_PATIENCE_S = 2.0
_PREFIX = "fleetlake_ingest_"
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError, ValueError)


class ShardView(msgspec.Struct, kw_only=True):
    """One shard that has not ended. Lag comes from its owner's pages, None where these were not read.

    lag_records is an estimate: lag_ms times the rate of arrival.
    """

    shard: str
    owner: str | None
    wanted_by: str | None
    fence: int
    records_per_s: float
    bytes_per_s: float
    lag_ms: float | None
    watermark_ms: int
    retention_used: float | None
    lag_records: float | None = None
    waits_for_parents: bool = False


class WorkerView(msgspec.Struct, kw_only=True):
    """One worker: an owner of leases, or one whose pages answered. Figures are None where they did not.

    Rates are since the last look, None at the first.
    """

    worker: str
    shards: int
    pages: str | None = None
    ready: bool | None = None
    reasons: list[str] = []
    down_s: dict[str, float] = {}
    read_per_s: float | None = None
    landed_per_s: float | None = None
    live_per_s: float | None = None
    live_pending: int | None = None
    rejected: int | None = None
    buffer_share: float | None = None


class Overview(msgspec.Struct, kw_only=True):
    """A region's workers and shards at a moment (epoch milliseconds)."""

    region: str
    at_ms: int
    workers: list[WorkerView]
    shards: list[ShardView]
    ended_shards: int


class _Page(msgspec.Struct):
    """A worker's health and metrics, by name and first label."""

    url: str
    health: Health
    values: dict[str, dict[str, float]]
    at_s: float

    def total(self, name: str) -> float:
        return sum(self.values.get(name, {}).values())


class Overlook:
    """Looks at one region repeatedly; rates are differences to the last look."""

    def __init__(self, region: str, leases: Leases) -> None:
        self._region = region
        self._leases = leases
        self._before: dict[str, _Page] = {}

    async def look(self, urls: Iterable[str]) -> Overview:
        """The region now. urls: where workers' pages are; those that do not answer are left out.

        Raises SinkUnavailable where the leases cannot be read.
        """
        rows = await self._leases.rows()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_PATIENCE_S)) as session:
            found = await asyncio.gather(*(_page(session, url) for url in dict.fromkeys(urls)))
        pages = {page.health.worker: page for page in found if page is not None}
        overview = Overview(
            region=self._region,
            at_ms=time.time_ns() // 1_000_000,
            workers=self._workers(rows, pages),
            shards=_shards(rows, pages),
            ended_shards=sum(row.ended for row in rows),
        )
        self._before = pages
        return overview

    def _workers(self, rows: Sequence[LeaseRow], pages: Mapping[str, _Page]) -> list[WorkerView]:
        owned = [row.owner for row in rows if row.owner is not None and not row.ended]
        views = []
        for worker in sorted({*owned, *pages}):
            page, before = pages.get(worker), self._before.get(worker)
            view = WorkerView(worker=worker, shards=owned.count(worker))
            views.append(view if page is None else _shown(view, page, before))
        return views


def _shown(view: WorkerView, page: _Page, before: _Page | None) -> WorkerView:
    limit = page.total("buffer_limit_bytes")
    return msgspec.structs.replace(
        view,
        pages=page.url,
        ready=page.health.ready,
        reasons=page.health.reasons,
        down_s=page.health.down_s,
        read_per_s=_rate("user_records_total", page, before),
        landed_per_s=_rate("landed_total", page, before),
        live_per_s=_rate("live_rows_total", page, before),
        live_pending=int(page.total("live_pending_rows")),
        rejected=int(page.total("rejected_total")),
        buffer_share=page.total("buffer_bytes") / limit if limit else None,
    )


def _rate(name: str, page: _Page, before: _Page | None) -> float | None:
    if before is None or page.at_s <= before.at_s:
        return None
    return (page.total(name) - before.total(name)) / (page.at_s - before.at_s)


def _shards(rows: Sequence[LeaseRow], pages: Mapping[str, _Page]) -> list[ShardView]:
    unended = {row.shard_id for row in rows if not row.ended}
    views = []
    for row in sorted(rows, key=lambda row: row.shard_id):
        if row.ended:
            continue
        page = pages.get(row.owner or "")
        values = {} if page is None else page.values
        views.append(
            ShardView(
                shard=row.shard_id,
                owner=row.owner,
                wanted_by=row.wanted_by,
                fence=row.fence,
                records_per_s=row.records_per_s,
                bytes_per_s=row.bytes_per_s,
                lag_ms=values.get("lag_ms", {}).get(row.shard_id),
                watermark_ms=row.watermark_ms,
                retention_used=values.get("retention_used_ratio", {}).get(row.shard_id),
                lag_records=values.get("lag_records", {}).get(row.shard_id),
                waits_for_parents=bool(unended.intersection(row.parents)),
            )
        )
    return views


async def _page(session: aiohttp.ClientSession, url: str) -> _Page | None:
    try:
        async with session.get(f"{url}/readyz") as answer:
            health = msgspec.json.decode(await answer.read(), type=Health)
        async with session.get(f"{url}/metrics") as answer:
            text = await answer.text()
        return _Page(url, health, _values(text), asyncio.get_running_loop().time())
    except _BROKEN:
        return None


def _values(text: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            label = next(iter(sample.labels.values()), "")
            found.setdefault(sample.name.removeprefix(_PREFIX), {})[label] = sample.value
    return found
