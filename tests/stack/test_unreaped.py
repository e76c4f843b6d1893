"""A killed postmaster leaves its pid file, and its pid where nobody waits for it, as in many a container."""

import subprocess
import sys

import psutil

import stack
from stack.layout import Layout
from tests.builders.stack import kill, process_of, stack_folder

START = """
import pathlib, sys, time, stack
stack.up(*map(pathlib.Path, sys.argv[1:]))
print("up", flush=True)
time.sleep(600)
"""


def test_postgres_is_mended_though_it_was_killed_before_its_pid_file_was_written(own_stack) -> None:
    kill(process_of(own_stack.state, "postgres"))
    (Layout.of(own_stack.state).data("postgres") / "data" / "postmaster.pid").write_text("")

    own_stack.up()

    assert stack.services_status(own_stack.state)["postgres"] == "up"


def test_postgres_is_mended_though_the_killed_one_still_has_a_pid() -> None:
    with stack_folder() as (state, regions_file):
        parent = subprocess.Popen(
            [sys.executable, "-c", START, str(state), str(regions_file)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == "up\n"
            dead = process_of(state, "postgres")
            kill(dead)
            assert dead.status() == psutil.STATUS_ZOMBIE

            stack.up(state, regions_file)

            assert process_of(state, "postgres").pid != dead.pid
            assert stack.services_status(state)["postgres"] == "up"
            assert dead.status() == psutil.STATUS_ZOMBIE
        finally:
            parent.kill()
            parent.wait()
