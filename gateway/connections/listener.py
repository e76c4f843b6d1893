"""Accepts connections in the order in which the limits protect: source, room, rate, and only then TLS."""

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Callable

from contracts.errors import Misuse, PortTaken
from gateway.connections.refusal_log import RefusalLog
from gateway.connections.tls import Tls
from gateway.limits.limits import Limits
from gateway.metrics import Metrics

BACKLOG = 4_096
"""Connections that the kernel keeps while none is accepted."""
_OUT_OF_FILES_S = 0.2
_SHUTDOWN_S = 2.0
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens, together with those of the gateway's other processes. Port 0 is a free one.

    Raises PortTaken where the port cannot be had, Misuse where the host is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.setblocking(False)
    try:
        made.bind((host, port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise Misuse(f"FLEETLAKE_GATEWAY_HOST: {host!r} is not an address of this machine") from None
        raise PortTaken(f"port {port} of {host} cannot be listened on ({error.strerror}); choose another") from None
    return made


class Admission:
    """One process's room for connections, whatever they speak."""

    def __init__(self, limits: Limits, metrics: Metrics, refusals: RefusalLog) -> None:
        settings = limits.settings
        self.limits, self.metrics, self.refusals = limits, metrics, refusals
        self.open = 0
        self.handshakes = asyncio.Semaphore(settings.handshakes_open)
        self._most = settings.connections
        self._every_s = 1.0 / settings.handshakes_s
        self._next_s = 0.0

    def refusal(self, source: str) -> str | None:
        """Why a connection is not taken; None where it is."""
        return "process_full" if self.open >= self._most else self.limits.refuses_source(source)

    async def turn(self) -> None:
        """Wait until a handshake is due: so many a second, a tenth of a second's worth at once."""
        now = time.monotonic()
        self._next_s = max(self._next_s, now - 0.1) + self._every_s
        if self._next_s > now:
            await asyncio.sleep(self._next_s - now)


class Listener:
    """One port: accepted connections become protocols of `make`."""

    def __init__(
        self,
        listening: socket.socket,
        make: Callable[[], asyncio.BaseProtocol],
        admission: Admission,
        tls: Tls | None,
    ) -> None:
        self._listening = listening
        self._make = make
        self._admission = admission
        self._tls = tls
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._listening.getsockname()[1]
        return port

    async def run(self) -> None:
        """Accept until cancelled; the socket is closed then, and what the kernel has queued goes to other processes."""
        loop, admission = asyncio.get_running_loop(), self._admission
        try:
            while True:
                await admission.handshakes.acquire()
                accepted = await self._accept(loop)
                if accepted is None:
                    admission.handshakes.release()
                    continue
                task = loop.create_task(self._open(*accepted))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)
                await admission.turn()
        finally:
            self._listening.close()
            for task in self._opening:
                task.cancel()

    async def _accept(self, loop: asyncio.AbstractEventLoop) -> tuple[socket.socket, str] | None:
        try:
            made, peer = await loop.sock_accept(self._listening)
        except OSError as error:
            if error.errno in _FULL:
                # Out of file descriptors: those that are open go on, new ones wait in the kernel's queue.
                self._admission.metrics.turned_away.labels("out_of_files").inc()
                await asyncio.sleep(_OUT_OF_FILES_S)
            return None
        source = str(peer[0])
        why = self._admission.refusal(source)
        if why is None:
            return made, source
        self._admission.metrics.turned_away.labels(why).inc()
        self._admission.refusals.line("gateway.turned_away", why, source=source)
        made.close()
        return None

    async def _open(self, made: socket.socket, source: str) -> None:
        """The handshake, within its time; the protocol takes over."""
        admission, began_s = self._admission, time.perf_counter()
        outcome = "failed"
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        admission.open += 1
        try:
            await self._shake_hands(made)
            outcome = "done"
        except ssl.SSLError as error:
            outcome = (getattr(error, "verify_message", None) or error.reason or "tls").lower().replace(" ", "_")
        except TimeoutError:
            outcome = "timed_out"
        except OSError:
            outcome = "broken_off"
        finally:
            admission.handshakes.release()
            if outcome != "done":
                admission.open -= 1
                made.close()
        if outcome != "done":
            admission.limits.failed(source)
            admission.refusals.line("gateway.handshake_failed", outcome, source=source)
        if self._tls is not None:
            admission.metrics.handshakes.labels(outcome).inc()
            admission.metrics.handshake_seconds.observe(time.perf_counter() - began_s)

    async def _shake_hands(self, made: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        if self._tls is None:
            await loop.connect_accepted_socket(self._make, made)
            return
        settings = self._admission.limits.settings
        await loop.connect_accepted_socket(
            self._make,
            made,
            ssl=self._tls.context,
            ssl_handshake_timeout=settings.handshake_time_s,
            ssl_shutdown_timeout=_SHUTDOWN_S,
        )
