"""`fleetlake consume`: reads a region's stream into live state and landing."""

import json
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from cli.environment import ALL, each_region, enter_region, exit_code_of, run_in_each_region
from cli.tables import figure, key, print_table, text
from contracts.errors import Misuse

_FAILED = 1


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("consume")(_consume)


def _consume(
    region: Annotated[str, typer.Option(help="A region of regions.toml, or 'all': one process each.")],
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the region's shards.")] = 1,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End once every shard is read to its newest record and committed.")
    ] = False,
    new_stream: Annotated[
        bool,
        typer.Option("--new-stream", help="The stream was deleted and made again: read the new one from its start."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Read the stream: live state in Redis, Parquet in S3. Serves /metrics, /healthz and /readyz; logs go to stderr."""
    if region == ALL:
        if new_stream:
            raise Misuse("--new-stream is for one region: name it")
        _consume_all(workers, until_idle=until_idle, as_json=as_json)
        return
    enter_region(region)
    from ingest.runtime.allocator import keep_freed_memory

    keep_freed_memory()
    from contracts.settings import RegionSettings
    from ingest.service.consume import consume

    if new_stream:
        from ingest.service.new_stream import start_anew

        start_anew(RegionSettings.load())
    report = {"region": region, **msgspec.to_builtins(consume(RegionSettings.load(), workers, until_idle))}
    _show([report], as_json=as_json, single=True)
    if report["not_committed"]:
        raise typer.Exit(_FAILED)


def _consume_all(workers: int, *, until_idle: bool, as_json: bool) -> None:
    words = ["consume", "--workers", str(workers), "--json", *(["--until-idle"] if until_idle else [])]
    runs = run_in_each_region(each_region(ALL), words, capture=True)
    reports = [json.loads(run.output) for run in runs if run.output.strip()]
    _show(reports, as_json=as_json, single=False)
    raise typer.Exit(exit_code_of(runs))


def _show(reports: list[dict[str, Any]], *, as_json: bool, single: bool) -> None:
    if as_json:
        whole = reports[0] if single else {"regions": {report["region"]: report for report in reports}}
        typer.echo(json.dumps(whole))
    else:
        print_table(_table(reports))


def _table(reports: list[dict[str, Any]]) -> Table:
    counts = figure("read"), figure("landed"), text("rejected"), figure("suppressed"), figure("objects")
    table = Table(key("region"), *counts, figure("seconds"), figure("records/s"), title="consumed")
    for report in reports:
        rejected = ", ".join(f"{reason} {count:,}" for reason, count in sorted(report["rejected"].items())) or "0"
        table.add_row(
            report["region"],
            f"{report['read']:,}",
            f"{report['landed']:,}",
            rejected,
            f"{report['suppressed']:,}",
            f"{report['objects']:,}",
            f"{report['seconds']:,.1f}",
            f"{report['records_per_s']:,.0f}",
        )
    return table
