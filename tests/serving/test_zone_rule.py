"""The rule of zones: what may be one, what is inside, and when a stay begins and ends."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.problems import BadRequest
from serving.zones.ring import Ring
from serving.zones.visits import MARGIN_M, stays

SQUARE = [(8.0, 50.0), (8.1, 50.0), (8.1, 50.1), (8.0, 50.1)]
METRE = 1 / 111_195


def inside(ring: Ring, *places: tuple[float, float]) -> list[bool]:
    lon, lat = (np.array(one, float) for one in zip(*places, strict=True))
    return ring.contains(lat, lon).tolist()


def test_a_concave_zone_has_no_inside_in_its_notch() -> None:
    notched = Ring([(0, 0), (4, 0), (4, 4), (2, 1), (0, 4)])
    assert inside(notched, (1, 1), (3, 1), (2, 3), (2, 0.5), (5, 1), (0.1, 3)) == [True, True, False, True, False, True]


def test_a_zone_may_cross_180_degrees() -> None:
    ring = Ring([(179, -1), (-179, -1), (-179, 1), (179, 1)])
    assert inside(ring, (179.5, 0), (-179.5, 0), (178, 0), (-178, 0), (0, 0)) == [True, True, False, False, False]
    assert ring.is_close(np.array([0.0]), np.array([-179.5]), 0).all()


@pytest.mark.parametrize(
    ("ring", "said"),
    [
        ([(0, 0), (1, 1)], "vertices"),
        ([(0, 0)] * 201, "vertices"),
        ([(0, 0), (30, 0), (30, 1)], "20 degrees"),
        ([(0, 0), (1, 1), (1, 0), (0, 1)], "sides cross"),
        ([(0, 0), (2, 0), (2, 2), (1, 0), (0, 2)], "sides cross"),
    ],
)
def test_what_is_no_place_is_refused(ring: list[tuple[float, float]], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        Ring(ring)


@given(
    radii=st.lists(st.floats(0.5, 2.0), min_size=3, max_size=12),
    angle=st.floats(0, 6.28),
    share=st.floats(0.01, 0.99),
)
@settings(deadline=None)
def test_what_is_between_the_middle_and_the_border_is_inside(radii: list[float], angle: float, share: float) -> None:
    count = len(radii)
    angles = [2 * np.pi * place / count for place in range(count)]
    points = [(r * np.cos(a), r * np.sin(a)) for r, a in zip(radii, angles, strict=True)]
    place = int(angle / (2 * np.pi) * count) % count
    (x1, y1), (x2, y2) = points[place], points[(place + 1) % count]
    if count == 3 and abs(x1 * y2 - x2 * y1) < 1e-3:
        return
    middle = ((x1 + x2) / 2 * share, (y1 + y2) / 2 * share)
    beyond = ((x1 + x2) / 2 * (1.02 / share + 5), (y1 + y2) / 2 * (1.02 / share + 5))
    assert inside(Ring(points), middle) == [True]
    assert inside(Ring(points), beyond) == [False]


def told(*latitudes: float, every_s: int = 10) -> list[tuple[int, int | None, bool]]:
    ts_ms = np.arange(len(latitudes)) * every_s * 1000
    found = stays(ts_ms, np.array(latitudes), np.full(len(latitudes), 8.05), Ring(SQUARE))
    return [
        (one.enter_ms // 1000, None if one.leave_ms is None else one.leave_ms // 1000, one.began_before)
        for one in found
    ]


def test_a_stay_is_from_the_first_record_inside_to_the_first_outside() -> None:
    assert told(49.9, 50.05, 50.06, 49.9, 49.8) == [(10, 30, False)]
    assert told(50.05, 49.9, 50.05) == [(0, 10, True), (20, None, False)]
    assert told(49.9, 49.8) == []
    assert told() == []


def test_a_receiver_that_wanders_over_the_border_makes_one_stay() -> None:
    near, far = 50 - (MARGIN_M - 5) * METRE, 50 - (MARGIN_M + 5) * METRE
    assert told(49.9, near, 50.001, near, 50.001, near, far, near) == [(20, 60, False)]


def test_who_was_seen_at_the_border_first_may_have_been_inside_before() -> None:
    near = 50 - (MARGIN_M - 5) * METRE
    assert told(near, 50.001, 49.9, near, 50.001) == [(10, 20, True), (40, None, False)]


def test_silence_ends_no_stay() -> None:
    assert told(49.9, 50.05, 50.05, every_s=100_000) == [(100_000, None, False)]


@given(st.lists(st.sampled_from([49.9, 50.05, 50 - 10 * METRE]), max_size=40))
@settings(deadline=None)
def test_stays_follow_each_other_and_one_more_record_changes_none_that_has_ended(latitudes: list[float]) -> None:
    whole, before = told(*latitudes), told(*latitudes[:-1])
    assert all(one[1] is not None and one[1] < other[0] for one, other in pairwise(whole))
    ended = [one for one in before if one[1] is not None]
    assert whole[: len(ended)] == ended


def test_how_long_a_stay_is() -> None:
    (open_stay,) = stays(np.array([1_000, 5_000]), np.full(2, 50.05), np.full(2, 8.05), Ring(SQUARE))
    assert (open_stay.dwell_s(), open_stay.dwell_s(11_000)) == (4.0, 10.0)
