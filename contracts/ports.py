"""Ports of this machine: which are free, and where its processes listen."""

import random
import socket
from collections.abc import Collection

HOST = "127.0.0.1"
_LOW, _HIGH = 20_000, 32_700
"""Below the kernel's ephemeral range, so that no outgoing connection takes a port while its service is down."""


def is_free(port: int) -> bool:
    """Whether this process could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port(taken: Collection[int] = ()) -> int:
    """A free port that is not in `taken`."""
    choose = random.SystemRandom()
    while True:
        port = choose.randint(_LOW, _HIGH)
        if port not in taken and is_free(port):
            return port
