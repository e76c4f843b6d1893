"""`process` beside a daemon: it leaves the work to it, however long that takes, and says why nothing comes of it."""

import pytest

from orchestration.local import wait_for_daemon as daemon
from orchestration.local.process import process
from tests.builders.orchestration import MemoryWork, begin, hours


@pytest.fixture
def work() -> MemoryWork:
    return MemoryWork(landing=dict.fromkeys(hours(1), 10))


class Clock:
    """Time that passes only while someone sleeps, a minute at a time; `on_sleep` is what happens meanwhile."""

    def __init__(self) -> None:
        self.now = 0.0
        self.on_sleep = lambda: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += 30 * seconds
        self.on_sleep()


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(daemon, "time", clock)
    monkeypatch.setattr(daemon, "is_alive", lambda _: True)
    return clock


def test_what_was_asked_for_and_not_launched_is_given_up_with_a_reason(repository, instance, clock):
    done = daemon.wait_for("eu", repository, instance, lambda _: None)

    assert not done.ok
    assert done.error == "eu/landing: asked for and not launched; is the sensor off?"
    assert clock.now > daemon.GIVE_UP_AFTER_S


def test_what_failed_in_a_row_is_given_up_with_its_failures(repository, instance, spark, clock):
    spark.failing = 2
    for _ in range(2):
        assert not process("eu", repository, instance, lambda _: None).ok

    done = daemon.wait_for("eu", repository, instance, lambda _: None)

    assert done.error.startswith("eu/landing: 2 failed in a row; resting until")


def test_a_run_that_works_is_waited_for_however_long_it_takes(repository, instance, work, clock):
    sensor = repository.get_sensor_def("eu_landing")
    (request,) = daemon.evaluate(sensor, repository, instance).run_requests
    run = begin(instance, repository, request)

    def ends_at_last():
        if clock.now > 3 * daemon.GIVE_UP_AFTER_S:
            work.landing.clear()
            instance.delete_run(run.run_id)

    clock.on_sleep = ends_at_last

    assert daemon.wait_for("eu", repository, instance, lambda _: None).ok
    assert clock.now > 3 * daemon.GIVE_UP_AFTER_S
