"""Starts, stops and inspects the embedded stack of one state folder."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from contracts.errors import Misuse, StackDown
from contracts.regions import Region, default_regions_file, load_regions
from stack import credentials, running
from stack.layout import Layout
from stack.lock import exclusive
from stack.ports import checked_names, require_free
from stack.private_files import read_json
from stack.running import Progress
from stack.services import Service, Site, all_services

_log = structlog.get_logger(__name__)


def up(
    state: Path,
    regions_file: Path | None = None,
    ports: Mapping[str, int] | None = None,
    *,
    progress: Progress | None = None,
) -> None:
    """Start every service that does not run, and provision what the regions need. Safe to run at any time.

    ports: ports to use by service (s3, kinesis, redis, postgres); the others are free ones, kept in the state folder.
    Raises BadRegionTable, Misuse, PortTaken, or ServiceFailed; services that started stay up for another `up`.
    """
    named, layout, tell = checked_names(ports), Layout.of(state), progress or _quiet
    regions_file = _regions_file(layout, regions_file)
    regions = load_regions(regions_file)
    layout.make()
    with exclusive(layout):
        known = credentials.load_or_make(layout, regions)
        site = Site(layout, regions_file, regions, known, dict(_facts(layout).get("ports", {})))
        services = all_services(site)
        _check_named(services, site, named)
        site.keep_ports({})
        taken = {
            site.ports[name] for service in services if running.is_placed(service, site) for name in service.port_names
        }
        _start_all(services, site, named, taken, tell)


def down(state: Path, *, progress: Progress | None = None) -> None:
    """Stop every service that this state folder's `up` started, and nothing else. Data stays."""
    layout = Layout.of(state)
    if not layout.facts.exists() and not layout.credentials.exists():
        return
    with exclusive(layout):
        site = _bare_site(layout)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda service: running.stop(service, site, progress or _quiet), all_services(site)))


def services_status(state: Path) -> dict[str, str]:
    """`up`, `down`, or `failing` (the process runs but does not answer) by service, checked now.

    Does not read the region table.
    """
    layout = Layout.of(state)
    if not layout.credentials.exists():
        return dict.fromkeys(("s3", "kinesis", "redis", "postgres"), "down")
    site = _bare_site(layout)
    services = all_services(site)
    with ThreadPoolExecutor() as pool:
        return dict(zip([s.name for s in services], pool.map(lambda s: _state_of(s, site), services), strict=True))


def running_site(state: Path) -> Site:
    """What the running stack consists of. Raises StackDown where any of its processes does not run."""
    layout = Layout.of(state)
    missing: list[str] = ["everything"]
    if layout.credentials.exists() and layout.facts.exists():
        site = _site(layout)
        missing = [service.name for service in all_services(site) if not running.is_placed(service, site)]
        if not missing:
            return site
    raise StackDown(f"the stack of {layout.root} is not up ({', '.join(missing)} down); run 'fleetlake up'")


def known_regions(state: Path) -> dict[str, Region]:
    """The region table that the stack was started with, else the project's. Works with the stack down."""
    return load_regions(_regions_file(Layout.of(state), None))


def new_regions(state: Path) -> list[str]:
    """Regions of the table that are not provisioned until the next `up`; none where the stack was never up."""
    site = known_site(state)
    return [] if site is None else [name for name in load_regions(site.regions_file) if name not in site.regions]


def known_site(state: Path) -> Site | None:
    """What the stack of that folder consists of, up or down; None where it was never up. Raises BadRegionTable."""
    layout = Layout.of(state)
    return _site(layout) if layout.credentials.exists() else None


def _site(layout: Layout) -> Site:
    bare = _bare_site(layout)
    table, provisioned = load_regions(bare.regions_file), [n for n, known in bare.secrets.regions.items() if known.aws]
    return replace(bare, regions={name: table[name] for name in provisioned if name in table})


def _bare_site(layout: Layout) -> Site:
    """The site without its regions: services can be checked and stopped with a broken region table."""
    known = credentials.load(layout) or credentials.Secrets()
    return Site(layout, _regions_file(layout, None), {}, known, dict(_facts(layout).get("ports", {})))


def _start_all(
    services: tuple[Service, ...], site: Site, named: Mapping[str, int], taken: set[int], tell: Progress
) -> None:
    with ThreadPoolExecutor(max_workers=len(services)) as pool:
        tasks = [pool.submit(running.ensure, service, site, named, taken, tell) for service in services]
    failures = [error for task in tasks if (error := task.exception()) is not None]
    for error in failures[1:]:
        _log.error("service_failed_too", error=str(error))
    if failures:
        raise failures[0]


def _check_named(services: tuple[Service, ...], site: Site, named: Mapping[str, int]) -> None:
    up_already = [service.name for service in services if running.is_placed(service, site)]
    for service, wanted in named.items():
        if service in up_already and wanted != site.ports[service]:
            has = site.ports[service]
            raise Misuse(f"{service} already runs on port {has}, not {wanted}; run 'fleetlake down' first")
    require_free({service: port for service, port in named.items() if service not in up_already})


def _state_of(service: Service, site: Site) -> str:
    if not running.runs(service, site):
        return "down"
    return "up" if running.answers(service, site) else "failing"


def _regions_file(layout: Layout, given: Path | None) -> Path:
    kept = _facts(layout).get("regions_file")
    if given is None and kept and "FLEETLAKE_REGIONS_FILE" not in os.environ:
        given = Path(kept)
    return (given or default_regions_file()).resolve()


def _facts(layout: Layout) -> dict[str, Any]:
    return read_json(layout.facts) or {}


def _quiet(_: str) -> None:
    pass
