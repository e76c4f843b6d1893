"""`fleetlake top`: a live view of a region's gateway, workers, shards and lag."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.environment import enter_region
from cli.tables import figure, text

if TYPE_CHECKING:
    from contracts.settings import RegionSettings
    from gateway.service.overview import GatewayOverlook, GatewayView
    from ingest.leases.dynamodb import DynamoLeases
    from ingest.service.overview import (
        Overview,
        ShardView,
        WorkerView,
    )

_LATE_MS = 60_000
_TIGHT = 0.5


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("top")(_top)


def _top(
    region: Annotated[str, typer.Option(help="A region of regions.toml.")],
    worker: Annotated[
        list[str] | None, typer.Option(help="Pages of a worker elsewhere, such as http://host:9100; may be repeated.")
    ] = None,
    gateway: Annotated[
        list[str] | None, typer.Option(help="Pages of a gateway process elsewhere; may be repeated.")
    ] = None,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between samples.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Sample twice and report as JSON.")] = False,
) -> None:
    """Gateway, workers, shards, owners, lag and rates of a region, live. Ctrl-C ends it; it changes nothing."""
    enter_region(region)
    from contracts.settings import RegionSettings

    asyncio.run(_watch(RegionSettings.load(), worker or [], gateway or [], every, as_json=as_json))


async def _watch(
    settings: "RegionSettings", workers: list[str], gateways: list[str], every_s: float, *, as_json: bool
) -> None:
    from ingest.leases.dynamodb import DynamoLeases

    leases = DynamoLeases(settings.region, settings.row.aws_region, settings.dynamodb)
    sight = _Sight(settings, leases, workers, gateways)
    try:
        if as_json:
            await sight.look()
            await asyncio.sleep(every_s)
            overview, processes = await sight.look()
            typer.echo(msgspec.json.encode({**msgspec.to_builtins(overview), "gateway": processes}).decode())
            return
        with Live(console=Console(), screen=True, auto_refresh=False) as live:
            while True:
                live.update(view(*await sight.look()), refresh=True)
                await asyncio.sleep(every_s)
    finally:
        await leases.close()


class _Sight:
    """The consumer and the gateway of a region, looked at together. Needs what either part needs, where it runs."""

    def __init__(
        self, settings: "RegionSettings", leases: "DynamoLeases", workers: list[str], gateways: list[str]
    ) -> None:
        from ingest.service.overview import Overlook

        self._settings, self._workers, self._gateways = settings, workers, gateways
        self._consumer = Overlook(settings.region, leases)
        self._gateway: GatewayOverlook | None = None

    async def look(self) -> tuple["Overview", list["GatewayView"]]:
        from ingest.worker.slot import announced

        state, region = Path(self._settings.state), self._settings.region
        overview, processes = await asyncio.gather(
            self._consumer.look([*announced(state, region), *self._workers]), self._processes(state, region)
        )
        return overview, processes

    async def _processes(self, state: Path, region: str) -> list["GatewayView"]:
        from gateway.service.overview import GatewayOverlook, announced

        self._gateway = self._gateway or GatewayOverlook()
        return await self._gateway.look([*announced(state, region), *self._gateways])


def view(overview: "Overview", processes: Sequence["GatewayView"] = ()) -> Group:
    """The tables of one sample."""
    at = datetime.fromtimestamp(overview.at_ms / 1000, UTC)
    lags = [shard.lag_ms for shard in overview.shards if shard.lag_ms is not None]
    line = Text.assemble(
        (f" {overview.region} ", "reverse bold"),
        f"  {at:%Y-%m-%d %H:%M:%S} UTC   {len(overview.workers)} workers   {len(overview.shards)} shards",
        f" (+{overview.ended_shards} ended)   read {_figure(_sum(w.read_per_s for w in overview.workers))}/s",
        f"   landed {_figure(_sum(w.landed_per_s for w in overview.workers))}/s   largest lag ",
        _lag(max(lags, default=None)),
    )
    gateway = (_processes(processes), Text()) if processes else ()
    return Group(line, Text(), *gateway, _workers(overview), Text(), _shards(overview))


def _processes(processes: Sequence["GatewayView"]) -> Table:
    table = _table(
        "gateway",
        "state",
        "refused",
        connections=1,
        sessions=1,
        messages_s=1,
        acknowledged_s=1,
        to_acknowledge=1,
        handshakes_s=1,
        held=1,
    )
    for one in processes:
        table.add_row(
            one.process,
            _process_state(one),
            ", ".join(f"{reason} {count:,}" for reason, count in one.refused.items()) or "none",
            f"{one.connections:,}",
            f"{one.sessions:,}",
            *map(_figure, (one.messages_per_s, one.acknowledged_per_s)),
            "-" if one.acknowledge_ms is None else f"{one.acknowledge_ms:,.0f} ms",
            _figure(one.handshakes_per_s),
            _share(one.held_share),
        )
    return table


def _process_state(process: "GatewayView") -> Text:
    if process.draining:
        return Text("draining", style="yellow")
    away = ", ".join(f"{part} away" + f" {for_s:,.0f} s" * bool(for_s) for part, for_s in process.away.items())
    if away:
        return Text(away, style="yellow" if process.ready else "red")
    return Text("ready", style="green") if process.ready else Text("not ready", style="red")


def _workers(overview: "Overview") -> Table:
    table = _table(
        "worker", "state", "sinks", shards=1, read_s=1, landed_s=1, live_s=1, live_waits=1, rejected=1, buffer=1
    )
    for worker in overview.workers:
        table.add_row(
            worker.worker,
            _state(worker),
            _sinks(worker),
            str(worker.shards),
            *map(_figure, (worker.read_per_s, worker.landed_per_s, worker.live_per_s)),
            *map(_figure, (worker.live_pending, worker.rejected)),
            _share(worker.buffer_share),
        )
    return table


def _shards(overview: "Overview") -> Table:
    table = _table("shard", "owner", lag=1, records_behind=1, kinesis_records_s=1, kB_s=1, watermark=1, retention=1)
    for shard in overview.shards:
        watermark_s = (overview.at_ms - shard.watermark_ms) / 1000
        table.add_row(
            shard.shard.removeprefix("shardId-").lstrip("0") or "0",
            _owner(shard),
            _lag(shard.lag_ms),
            _figure(shard.lag_records),
            _figure(shard.records_per_s),
            _figure(shard.bytes_per_s / 1000),
            f"{watermark_s:,.0f} s ago" if shard.watermark_ms else "-",
            _share(shard.retention_used),
        )
    return table


def _table(*words: str, **figures: int) -> Table:
    headings = [name.removesuffix("_s") + "/s" * name.endswith("_s") for name in figures]
    columns = *map(text, words), *(figure(heading.replace("_", " ")) for heading in headings)
    return Table(*columns, box=None, pad_edge=False, header_style="bold", expand=False)


def _state(worker: "WorkerView") -> Text:
    if worker.ready is None:
        return Text("no pages", style="yellow")
    if worker.ready:
        return Text("ready", style="green")
    return Text("; ".join(worker.reasons), style="red")


def _sinks(worker: "WorkerView") -> Text:
    if worker.ready is None:
        return Text("?", style="dim")
    away = ", ".join(f"{sink} away {for_s:,.0f} s" for sink, for_s in sorted(worker.down_s.items()))
    return Text(away or "up", style="red" if away else "green")


def _owner(shard: "ShardView") -> Text:
    if shard.owner is None:
        return Text("waits for parents" if shard.waits_for_parents else "nobody", style="yellow")
    wanted = f" -> {shard.wanted_by}" if shard.wanted_by else ""
    return Text(shard.owner + wanted)


def _lag(lag_ms: float | None) -> Text:
    if lag_ms is None:
        return Text("?", style="dim")
    style = "green" if lag_ms < 1_000 else "yellow" if lag_ms < _LATE_MS else "red"  # noqa: PLR2004
    return Text(f"{lag_ms / 1000:,.1f} s", style=style)


def _share(share: float | None) -> Text:
    return Text("?", style="dim") if share is None else Text(f"{share:.0%}", style="red" if share > _TIGHT else "")


def _figure(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f}"


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
