"""What comes of the tracks that the field produces."""

import pytest

from tests.builders.journeys import derived
from tests.builders.tracks import BERLIN, TRACKS, Track


def summed(days: list[dict], name: str) -> float | None:
    known = [day[name] for day in days if day[name] is not None]
    return sum(known) if known else None


@pytest.mark.parametrize("track", TRACKS, ids=lambda track: track.name)
def test_a_track_gives_what_a_fleet_manager_expects(track: Track):
    trips, days = derived(track.rows(), rules=BERLIN)
    assert track.trips is None or len(trips) == track.trips
    for expected, name in ((track.km, "distance_gps_km"), (track.moving_s, "moving_s")):
        if expected is not None:
            assert summed(days, name) == pytest.approx(expected, rel=track.off, abs=0 if expected else 0.05)
    if track.km and track.trips == 1:
        assert trips[0]["distance_km"] == pytest.approx(track.km, rel=track.off)
    for name, value in (track.day or {}).items():
        assert summed(days, name) == (None if value is None else pytest.approx(value, abs=1e-5)), name
