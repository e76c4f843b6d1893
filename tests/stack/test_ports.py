"""Which ports a service gets."""

import socket
import threading
from contextlib import contextmanager

from stack.ports import HOST, becomes_free, choose


@contextmanager
def listener():
    with socket.create_server((HOST, 0)) as server:
        yield server, server.getsockname()[1]


def test_a_port_that_is_let_go_in_a_moment_is_kept():
    with listener() as (server, port):
        closing = threading.Timer(0.2, server.close)
        closing.start()
        assert choose(("kinesis",), {"kinesis": port}, {}, set()) == {"kinesis": port}
        closing.join()


def test_a_port_that_another_program_has_is_given_up():
    with listener() as (_, port):
        assert not becomes_free(port, within_s=0.05)
        assert choose(("kinesis",), {"kinesis": port}, {}, set())["kinesis"] != port
