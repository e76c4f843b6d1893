"""A store that hangs is named at once and ends the command after its time-out; one that comes back is said to."""

import subprocess
import sys
import threading

import pytest

from lake.store_watch import StoreWatch
from lake.stores import answers


class Scene:
    """A watch of two stores with a time-out of 30 s, by a clock that the test moves."""

    def __init__(self) -> None:
        self.now, self.said, self.ended = 0.0, list[str](), 0
        stores = {"Postgres": lambda: None, "S3": lambda: None}
        self.watch = StoreWatch(stores, "eu", 30.0, self.said.append, self.end, clock=lambda: self.now)

    def end(self) -> None:
        self.ended += 1

    def look(self, now: float, *silent: str) -> None:
        self.now = now
        self.watch.look(set(silent), now)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_silent_store_is_named_once_and_ends_the_command_after_its_timeout(scene):
    scene.look(5, "S3")
    scene.look(20, "S3")
    assert scene.said == ["S3 of region eu does not answer; waiting for 30 s"]
    assert not scene.ended

    scene.look(35, "S3")

    assert scene.ended == 1
    assert scene.said[-1].startswith("fleetlake: S3 of region eu has not answered for 30 s; this command ends")


def test_a_store_that_answers_again_begins_anew(scene):
    scene.look(5, "S3")
    scene.look(30)
    scene.look(40, "S3")
    scene.look(60, "S3")

    assert not scene.ended
    assert scene.said[1] == "S3 of region eu answers again"


def test_a_command_that_ends_between_two_looks_still_says_that_its_store_is_back(scene):
    scene.look(5, "S3", "Postgres")

    scene.watch.tell_who_is_back()

    assert sorted(scene.said[2:]) == ["Postgres of region eu answers again", "S3 of region eu answers again"]


def test_stores_are_silent_each_for_itself(scene):
    scene.look(5, "S3")
    scene.look(25, "Postgres")
    scene.look(45, "Postgres")

    assert not scene.ended


def test_the_watch_ends_with_the_command(scene):
    done = threading.Event()
    done.set()

    scene.watch.run(done)

    assert scene.said == []


def test_a_refusal_is_an_answer():
    def refuse() -> None:
        raise PermissionError("no")

    assert answers(refuse)


def test_a_store_that_cannot_be_reached_does_not_answer():
    def reset() -> None:
        raise ConnectionResetError(104, "reset by peer")

    assert not answers(reset)


_WATCHED = """
import sys
from contracts.settings import RegionSettings
from lake.store_watch import ending_with_its_stores
from lake.stores import LAKE, REDIS
from tests.contracts.test_settings import ENVIRON
with ending_with_its_stores(RegionSettings.load(ENVIRON), (*LAKE, REDIS)):
    print(all(name in sys.modules for name in ("psycopg.conninfo", "boto3", "redis")))
"""


def test_the_stores_libraries_are_imported_before_another_thread_asks():
    """Two threads that import psycopg at once see it half made: a command's own thread imports it as well."""
    done = subprocess.run([sys.executable, "-c", _WATCHED], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
