"""`fleetlake serve`: the read API and the live map. `fleetlake token`: tokens of this machine, for trying them."""

import json
import os
import sys
import time
from typing import Annotated

import typer

from cli.environment import (
    ALL,
    each_region,
    enter_region,
    exit_code_of,
    process_environment,
    run_in_each_region,
    stack_is_local,
    state_folder,
)
from contracts.errors import Misuse
from contracts.ports import HOST, free_port, is_free
from contracts.regions import WORLD

_FIRST_PORT = "8900"
_REVOKED_S = 2 * 86_400.0
"""Longer than any token of the settings' default holds."""
_PREFIX = "FLEETLAKE_SERVING_"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("serve")(_serve)
    app.command("token")(_token)


def _serve(
    region: Annotated[
        str, typer.Option(help="A region of regions.toml, 'world', or 'all' regions, each on a port of its own.")
    ],
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the port.")] = 1,
) -> None:
    """Serve /v1 and the live map at /map/. Also /healthz, /readyz and /metrics; logs go to stderr; SIGTERM drains."""
    if region == ALL:
        _serve_all(workers)
        return
    enter_region(region)
    from contracts.settings import RegionSettings, WorldSettings
    from serving.service.processes import serve

    _believe_this_machine()
    serve(WorldSettings.load() if region == WORLD else RegionSettings.load(), workers)


def _token(
    region: Annotated[str, typer.Option(help="A region of regions.toml, 'all', or 'world'.")],
    fleet: Annotated[list[str] | None, typer.Option(help="A fleet that the token sees; repeat it for more.")] = None,
    all_fleets: Annotated[bool, typer.Option("--all-fleets", help="Every fleet of the region.")] = False,
    role: Annotated[str, typer.Option(help="viewer, operator or privacy.")] = "viewer",
    hours: Annotated[float, typer.Option(min=0.01, max=24, help="The token ends after so long.")] = 12.0,
    subject: Annotated[str, typer.Option(help="Who it is for: it stands in the audit.")] = "laptop",
    revoke: Annotated[str | None, typer.Option(help="Revoke the token of this id instead.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the token with its id as JSON.")] = False,
) -> None:
    """Sign a token with the key of this machine's stack, for trying the API out; or revoke any token by its id."""
    regions = [WORLD] if region == WORLD else each_region(region)
    if revoke is not None:
        if region == WORLD:
            raise Misuse("tokens are revoked in the Redis of the regions that they name; name one, or all")
        _revoke(regions, revoke)
        return
    if not stack_is_local():
        raise Misuse("tokens are signed here for an embedded stack only; ask your OIDC provider for one")
    if all_fleets is bool(fleet):
        raise Misuse("say --fleet FLEET, or --all-fleets")
    from serving.access.caller import ALL_FLEETS, Role
    from serving.access.laptop import sign

    if role not in list(Role):
        raise Misuse(f"no role {role!r}; there are {', '.join(Role)}")
    token, token_id = sign(
        state_folder(),
        regions=regions,
        fleets=[ALL_FLEETS] if all_fleets else list(fleet or ()),
        role=Role(role),
        hours=hours,
        subject=subject,
        audience=_audience(),
    )
    typer.echo(json.dumps({"token": token, "id": token_id}) if as_json else token)


def _audience() -> str:
    return os.environ.get(f"{_PREFIX}AUDIENCE", "fleetlake")


def _believe_this_machine() -> None:
    """On an embedded stack, where the settings name no key set, believe the tokens of this machine."""
    name = f"{_PREFIX}JWKS"
    if name in os.environ or not stack_is_local():
        return
    from serving.access.laptop import key_set

    # The processes of the service read their settings from the environment.
    os.environ[name] = str(key_set(state_folder()))


def _serve_all(workers: int) -> None:
    """A service a region, each with its own environment and port; the page of each asks all of them."""
    regions = each_region(ALL)
    ports = _ports(regions)
    at = {name: f"http://{HOST}:{port}" for name, port in ports.items()}
    shared = {
        f"{_PREFIX}SITES": ",".join(f"{name}={origin}" for name, origin in at.items()),
        f"{_PREFIX}ORIGINS": ",".join(at.values()),
    }
    if stack_is_local():
        typer.echo(_place(at[regions[0]], regions))
        sys.stdout.flush()
    tuning = {name: {**shared, f"{_PREFIX}PORT": str(ports[name])} for name in regions}
    runs = run_in_each_region(regions, ["serve", "--workers", str(workers)], tuning=tuning)
    raise typer.Exit(exit_code_of(runs))


def _ports(regions: list[str]) -> dict[str, int]:
    """A port for each region: that of the settings and those that follow, where they are free."""
    first = int(os.environ.get(f"{_PREFIX}PORT", _FIRST_PORT))
    ports: dict[str, int] = {}
    for number, name in enumerate(regions):
        ports[name] = first + number if is_free(first + number) else free_port(ports.values())
    return ports


def _place(origin: str, regions: list[str]) -> str:
    """Where the map of this machine is, with a token for all of it."""
    from serving.access.caller import ALL_FLEETS, Role
    from serving.access.laptop import sign

    token, _ = sign(
        state_folder(),
        regions=regions,
        fleets=[ALL_FLEETS],
        role=Role.viewer,
        hours=12,
        subject="laptop",
        audience=_audience(),
    )
    return f"the live map of {', '.join(regions)}, with a token of 12 h:\n{origin}/map/#token={token}"


def _revoke(regions: list[str], token_id: str) -> None:
    for name in regions:
        environment = process_environment(name)
        _deny(environment["FLEETLAKE_REDIS_URL"], name, token_id)
    typer.echo(f"revoked in {', '.join(regions)}; every process of the service knows within 5 s")


def _deny(url: str, region: str, token_id: str) -> None:
    import redis

    from contracts.names import redis_denied

    with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
        client.zadd(redis_denied(region), {token_id: time.time() + _REVOKED_S})
        client.zremrangebyscore(redis_denied(region), "-inf", time.time())
