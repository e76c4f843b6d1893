"""The interface of an embedded service: how it is started, checked and stopped."""

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
    """What a stack consists of. `ports` grows as services are given theirs, and is saved before they start."""

    layout: Layout
    regions_file: Path
    regions: Mapping[str, Region]
    secrets: Secrets
    ports: dict[str, int] = field(default_factory=dict)
    _keeping: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def keep_ports(self, ports: Ports) -> None:
        """Add these ports and save what the stack consists of, so that a later command finds what was started."""
        with self._keeping:
            self.ports.update(ports)
            write_json(self.layout.facts, {"ports": self.ports, "regions_file": str(self.regions_file)})


class Service(Protocol):
    """One embedded service.

    Promises
    - `prepare` may run again at any time while the service is down, keeps the data, and never leaves half of something.
    - The service listens on 127.0.0.1 only, on `port_names` of the site's ports; clients use the port of its own name.
    - `healthy` answers within a few seconds and never raises: any failure is False.
    - After `stop_signal` it ends within `patience_s` with all its data on disk.
    - A changed `digest` means a changed configuration: a running service has to be restarted.
    """

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]
    stop_signal: ClassVar[signal.Signals]
    patience_s: ClassVar[float]

    def digest(self) -> str:
        """A digest of the configuration, without ports."""
        ...

    def prepare(self) -> Command:
        """Write the configuration and, the first time, an empty store. Returns the command to run."""
        ...

    def healthy(self) -> bool:
        """Whether the service answers a real request."""
        ...

    def provision(self) -> None:
        """Create what the regions need in the service and does not exist yet."""
        ...

    def tidy(self) -> None:
        """Remove what an ended process leaves outside of its data folder."""
        ...
