"""Token buckets: a burst, then the rate; a bounded number of keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.gateway_settings import GatewaySettings
from gateway.identity.model import Access, Identity, KnownDevice
from gateway.limits.limits import Limits
from gateway.limits.rates import MOST_KEYS, Bans, Rates
from gateway.refusals import Refused


class Clock:
    """A clock that stands until it is set."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0.1, 5)), max_size=60))
def test_no_more_than_a_burst_and_the_rate_in_any_time(steps: list[tuple[float, float]]) -> None:
    clock, taken = Clock(), 0.0
    rates, began = Rates(2.0, 10.0, clock), clock.now
    for wait, cost in steps:
        clock.now += wait
        if rates.wait_s("k", cost) == 0:
            rates.take("k", cost)
            taken += cost
        assert taken <= 10.0 + 2.0 * (clock.now - began) + 1e-6


def test_the_wait_is_long_enough_and_no_longer() -> None:
    clock = Clock()
    rates = Rates(2.0, 10.0, clock)
    rates.take("k", 10.0)
    assert rates.wait_s("k", 3.0) == pytest.approx(1.5)
    clock.now += 1.5
    assert rates.wait_s("k", 3.0) == pytest.approx(0.0, abs=1e-9)
    assert rates.wait_s("other", 3.0) == 0.0


def test_what_costs_more_than_a_burst_goes_once_the_bucket_is_full() -> None:
    clock = Clock()
    rates = Rates(2.0, 10.0, clock)
    assert rates.wait_s("k", 50.0) == 0.0
    rates.take("k", 50.0)
    assert rates.wait_s("k", 1.0) == pytest.approx(20.5)


def test_keys_are_bounded() -> None:
    rates = Rates(1.0, 1.0, Clock())
    for number in range(MOST_KEYS + 10):
        rates.take(str(number))
    assert len(rates._levels) == MOST_KEYS


def test_a_device_that_flaps_is_refused_for_a_time() -> None:
    clock = Clock()
    limits = Limits(GatewaySettings(device_connects_min=3, flapping_s=60), clock)
    for _ in range(3):
        limits.login("d")
    with pytest.raises(Refused, match="more than 3 connections a minute; 60 s left"):
        limits.login("d")
    limits.login("calm")
    clock.now += 30
    with pytest.raises(Refused, match="30 s left"):
        limits.login("d")
    clock.now += 31
    limits.login("d")


def test_a_source_is_refused_after_failures_and_after_a_storm() -> None:
    clock = Clock()
    limits = Limits(GatewaySettings(source_failures_min=2, source_connects_s=1), clock)
    assert [limits.refuses_source("a") for _ in range(11)] == [None] * 10 + ["source_connects"]
    for _ in range(2):
        limits.failed("b")
    assert (limits.refuses_source("b"), limits.refuses_source("c")) == ("source_failures", None)
    clock.now += 60
    assert (limits.refuses_source("a"), limits.refuses_source("b")) == (None, None)


def test_a_message_counts_for_device_and_fleet_only_where_it_goes() -> None:
    clock = Clock()
    limits = Limits(GatewaySettings(device_messages_s=1, fleet_messages_s=1.5), clock)
    one, other = (Identity(KnownDevice(name, "acme", Access.ACTIVE)) for name in ("one", "other"))
    assert [limits.message_wait_s(one, 10) for _ in range(10)] == [0.0] * 10
    assert limits.message_wait_s(one, 10) == pytest.approx(1.0)
    assert [limits.message_wait_s(other, 10) for _ in range(5)] == [0.0] * 5
    assert limits.message_wait_s(other, 10) == pytest.approx(1 / 1.5)


def test_a_device_may_have_a_rate_of_its_own() -> None:
    limits = Limits(GatewaySettings(device_messages_s=1), Clock())
    fast = Identity(KnownDevice("fast", "acme", Access.ACTIVE, messages_s=5.0))
    assert [limits.message_wait_s(fast, 1) for _ in range(50)] == [0.0] * 50
    assert limits.message_wait_s(fast, 1) > 0


def test_bans_end() -> None:
    clock = Clock()
    bans = Bans(clock)
    bans.ban("k", 5)
    clock.now += 4
    assert bans.left_s("k") == pytest.approx(1)
    clock.now += 1
    assert (bans.left_s("k"), bans.left_s("other")) == (0.0, 0.0)
