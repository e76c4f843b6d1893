"""`fleetlake gateway`: lets devices in, by MQTT and HTTP."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from cli.environment import enter_region, stack_is_local

if TYPE_CHECKING:
    from contracts.settings import RegionSettings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("gateway")(_gateway)


def _gateway(
    region: Annotated[str, typer.Option(help="A region of regions.toml.")],
    workers: Annotated[
        int, typer.Option("--workers", "--processes", min=1, max=64, help="Processes that share the ports.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Take telemetry by MQTT and HTTP, and acknowledge what is on the stream. Logs go to stderr; SIGTERM drains."""
    enter_region(region)
    from contracts.settings import RegionSettings
    from gateway.service.processes import serve_gateway

    report = serve_gateway(with_certificate(RegionSettings.load()), workers)
    if as_json:
        typer.echo(json.dumps({"region": region, "acknowledged": report.acknowledged, "messages": report.messages}))
    else:
        typer.echo(f"{report.acknowledged:,} records acknowledged, in {report.messages:,} messages")


def with_certificate(settings: "RegionSettings") -> "RegionSettings":
    """The settings; on an embedded stack, where none names a certificate, with one that this machine makes."""
    from gateway.identity.laptop import folder_of, server_files

    if settings.gateway.certificate is not None or not stack_is_local():
        return settings
    files = server_files(folder_of(settings.state, settings.region))
    own = settings.gateway.model_copy(update={"certificate": files.certificate, "key": files.key})
    return settings.model_copy(update={"gateway": own})
