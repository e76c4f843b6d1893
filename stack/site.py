"""What a service is to the stack: how it is started, asked for its health, and asked to end."""

import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from contracts.regions import Region
from stack.credentials import Secrets
from stack.layout import Layout
from stack.private_files import write_json
from stack.processes import Command

Ports = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Site:
    """What a stack is made of. `ports` grows as services are given theirs, and is kept before they start."""

    layout: Layout
    regions_file: Path
    regions: Mapping[str, Region]
    secrets: Secrets
    ports: dict[str, int] = field(default_factory=dict)
    _keeping: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def keep_ports(self, ports: Ports) -> None:
        """Add these ports and write what the stack is made of, so that whoever comes next finds what was started."""
        with self._keeping:
            self.ports.update(ports)
            write_json(self.layout.facts, {"ports": self.ports, "regions_file": str(self.regions_file)})


class Service(Protocol):
    """One embedded service.

    Promises
    - `prepare` may run again at any time while the service is down, keeps its data, and leaves nothing half made.
    - The service listens on 127.0.0.1 only, on `port_names` of the site's ports; clients use the port of its own name.
    - `healthy` answers within a few seconds and never raises: False for whatever is wrong.
    - After `stop_signal` it ends within `patience_s` with everything on disk that it keeps.
    - Started with another `digest` it would behave differently, so a running one has to be restarted.
    """

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]
    stop_signal: ClassVar[signal.Signals]
    patience_s: ClassVar[float]

    def digest(self) -> str:
        """Of what it is configured with, ports apart."""
        ...

    def prepare(self) -> Command:
        """Write its configuration and, the first time, its empty store; returns what to run."""
        ...

    def healthy(self) -> bool:
        """Whether it answers a real request."""
        ...

    def provision(self) -> None:
        """Make what the regions need in it; everything that exists stays."""
        ...

    def tidy(self) -> None:
        """Remove what an ended process leaves outside of its data."""
        ...
