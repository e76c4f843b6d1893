"""A killed postmaster that nobody waits for, as in a container whose first process does not."""

import subprocess
import sys

import psutil

import stack
from tests.builders.stack import kill, process_of, stack_folder

START = """
import pathlib, sys, time, stack
stack.up(*map(pathlib.Path, sys.argv[1:]))
print("up", flush=True)
time.sleep(600)
"""


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
