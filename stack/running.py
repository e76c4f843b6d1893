"""Starts and stops one service, with its ports, its log and its process record."""

import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from contracts.errors import ServiceFailed
from contracts.logs import last_lines
from stack import processes
from stack.ports import choose
from stack.services import Service, Site

Progress = Callable[[str], None]
START_S = 60.0
PATIENCE_S = 30.0
"""A running service that does not answer for this long is restarted; on a busy machine it may be slow."""
_POLL_S = 0.05
_ENDS_WITHIN_S = 10.0
_ATTEMPTS = 3
"""A port may be taken between choice and start, and Postgres waits for shared memory that a killed one left."""


def ensure(service: Service, site: Site, named: Mapping[str, int], taken: set[int], progress: Progress) -> None:
    """Start the service where it does not run as configured, and provision it.

    Raises PortTaken, or ServiceFailed with the end of its log.
    """
    if not _runs_as_configured(service, site):
        _stop(service, site)
        taken.difference_update(site.ports[name] for name in service.port_names if name in site.ports)
        _start_on_free_ports(service, site, named, taken)
        progress(f"{service.name} runs on port {site.ports[service.name]}")
    service.provision()


def stop(service: Service, site: Site, progress: Progress) -> None:
    """Stop the service if it runs."""
    if processes.find(site.layout.process(service.name)) is not None:
        _stop(service, site)
        progress(f"{service.name} has ended")
    else:
        site.layout.process(service.name).unlink(missing_ok=True)


def runs(service: Service, site: Site) -> bool:
    """Whether its process runs, healthy or not."""
    return processes.find(site.layout.process(service.name)) is not None


def is_placed(service: Service, site: Site) -> bool:
    """Whether it runs on known ports. A killed `up` of an older version may have left one without."""
    return runs(service, site) and all(name in site.ports for name in service.port_names)


def answers(service: Service, site: Site) -> bool:
    """Whether it runs on known ports and is healthy."""
    return is_placed(service, site) and service.healthy()


def _runs_as_configured(service: Service, site: Site) -> bool:
    found = processes.find(site.layout.process(service.name))
    if found is None or found[1].digest != service.digest() or not is_placed(service, site):
        return False
    return _wait_healthy(service, site, PATIENCE_S)


def _start_on_free_ports(service: Service, site: Site, named: Mapping[str, int], taken: set[int]) -> None:
    for attempt in range(_ATTEMPTS):
        site.keep_ports(choose(service.port_names, site.ports, named, taken))
        log = site.layout.log(service.name)
        started = processes.start(service.prepare(), log, site.layout.process(service.name), service.digest())
        if _wait_healthy(service, site, START_S):
            return
        code = None if runs(service, site) else _exit_code(started)
        _stop(service, site)
        taken.difference_update(site.ports[name] for name in service.port_names)
        if attempt + 1 == _ATTEMPTS or code is None:
            how = f"did not answer within {START_S:.0f} s" if code is None else f"ended with code {code} while starting"
            raise ServiceFailed(f"{service.name} {how}; {log} ends with\n{last_lines(log)}")


def _exit_code(ending: "subprocess.Popen[bytes]") -> int | None:
    """The exit code of a process that is ending; the system knows it once the last of its threads is gone."""
    with suppress(subprocess.TimeoutExpired):
        return ending.wait(_ENDS_WITHIN_S)
    return None


def _wait_healthy(service: Service, site: Site, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while runs(service, site):
        if answers(service, site):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return False


def _stop(service: Service, site: Site) -> None:
    processes.stop(site.layout.process(service.name), service.stop_signal, service.patience_s)
    service.tidy()
