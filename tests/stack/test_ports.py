"""Which ports a service gets."""

import json
import socket
import threading
from contextlib import contextmanager

import pytest
import redis

import stack
from contracts.errors import Misuse, PortTaken
from contracts.ports import HOST
from stack.layout import Layout
from stack.ports import becomes_free, choose
from tests.builders.stack import SERVICES, stack_folder


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


def test_a_taken_port_is_named_with_what_to_do():
    with stack_folder() as (state, regions_file), socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} asked for redis is in use.*free it"):
            stack.up(state, regions_file, {"redis": port})
        assert stack.services_status(state) == dict.fromkeys(SERVICES, "down"), "it is found before anything starts"


def test_a_kept_port_that_is_taken_meanwhile_is_replaced(own_stack):
    old = json.loads(Layout.of(own_stack.state).facts.read_text())["ports"]["redis"]
    stack.down(own_stack.state)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", old))
        taken.listen()
        own_stack.up()
        url = own_stack.settings("us").redis_url.get_secret_value()
        assert f":{old}/" not in url
        assert redis.Redis.from_url(url).set("us:a", "1")


def test_ports_can_be_named(own_stack):
    with pytest.raises(Misuse, match="already runs on port"):
        own_stack.up(ports={"redis": 1})
    with pytest.raises(Misuse, match="no service 'mysql'"):
        own_stack.up(ports={"mysql": 3306})
