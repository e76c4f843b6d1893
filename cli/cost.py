"""`fleetlake cost`: what a region on AWS costs a month, before anything is deployed."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.table import Table

from cli.tables import figure, open_console, print_table, text

if TYPE_CHECKING:
    from deploy.cost.model import Cost


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("cost")(_cost)


def _cost(
    devices: Annotated[int, typer.Option(min=1, help="Devices of the region at its peak; an eighth speaks at night.")],
    interval: Annotated[float, typer.Option(min=1, max=86_400, help="Seconds between two records of a device.")] = 10.0,
    region: Annotated[str, typer.Option(help="A region of regions.toml: its stream's shards.")] = "eu",
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON, with every price and assumption.")] = False,
) -> None:
    """What a region costs a month, by service: what dominates, and which setting changes it."""
    from contracts.regions import find_region
    from deploy.cost.model import cost_of
    from deploy.deployment import load_deployment

    deployment = load_deployment()
    found = cost_of(deployment, devices, interval, deployment.day_shards(find_region(region)))
    if as_json:
        typer.echo(json.dumps(document(found)))
        return
    print_table(_table(found))
    console = open_console()
    for line in _sentences(found):
        console.print(line, markup=False, soft_wrap=True)


def document(cost: "Cost") -> dict[str, Any]:
    """The report for programs."""
    from deploy.cost import prices
    from deploy.cost.model import ASSUMED, MEASURED

    table = [{**msgspec.to_builtins(price), "source": price.source} for price in prices.PRICES.values()]
    return {
        "usd": round(cost.usd, 2),
        **msgspec.to_builtins(cost),
        "measured": msgspec.to_builtins(dict(MEASURED)),
        "assumed": msgspec.to_builtins(dict(ASSUMED)),
        "prices": {"looked_up": prices.LOOKED_UP, "aws_region": prices.AWS_REGION, "table": table},
    }


def _table(cost: "Cost") -> Table:
    table = Table(
        text("service"), figure("USD a month"), figure("share"), text("of what"), text("changed by"),
        title=f"{cost.devices:,} devices, a record each {cost.interval_s:g} s",
    )  # fmt: skip
    for line in cost.lines:
        table.add_row(line.service, f"{line.usd:,.0f}", f"{line.usd / cost.usd:.0%}", line.quantity, line.changes)
    table.add_section()
    table.add_row("together", f"{cost.usd:,.0f}", "", f"{cost.records_month / 1e9:,.2f} billion records", "")
    return table


def _sentences(cost: "Cost") -> list[str]:
    from deploy.cost import prices
    from deploy.cost.model import ASSUMED

    first = cost.lines[0]
    per_device = cost.usd / cost.devices * 100
    said = [f"{first.service} dominates with {first.usd / cost.usd:.0%}; a device costs {per_device:.2f} cents a month"]
    said += cost.notes
    assumed = "; ".join(f"{one.value:g} {one.unit} ({one.source})" for one in ASSUMED.values())
    priced = f"prices on demand in {prices.AWS_REGION}, {prices.LOOKED_UP}; --json has each with its source"
    return [*said, f"assumed: {assumed}", priced]
