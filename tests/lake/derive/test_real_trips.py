"""Trips of real buses, trains and cars beside trips by window functions in DuckDB, which share no code with ours."""

import pyarrow.compute as pc
import pytest

from bench.trips import FLEETS, Fleet, compare
from tests.builders.real_data import FOLDER

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(
        not (FOLDER / f"{FLEETS[0].file}.parquet").is_file(),
        reason=f"no real telemetry at {FOLDER}; set FLEETLAKE_REAL_DATA",
    ),
]


@pytest.mark.parametrize("fleet", FLEETS, ids=lambda fleet: fleet.file)
def test_trips_agree_with_those_of_an_independent_query(fleet: Fleet) -> None:
    found = compare(fleet, FOLDER)
    assert found.ours.num_rows == pytest.approx(found.theirs.num_rows, rel=0.02)
    for name in ("distance_km", "moving_s"):
        ours, theirs = (pc.sum(one[name]).as_py() for one in (found.ours, found.theirs))
        assert ours == pytest.approx(theirs, rel=0.025), name
    # Dense and sparse records are judged by different rules on purpose: what is left has to be rare.
    assert found.reasons.get(LEFT_OVER, 0) <= 0.15 * found.same + 1
    assert found.same >= 0.65 * found.theirs.num_rows


LEFT_OVER = "slow: starts and ends below 3 km/h or within the radius of noise at rest"


def test_no_bus_is_on_its_way_outside_trips_but_in_silence() -> None:
    found = compare(FLEETS[0], FOLDER)
    outside = 1 - pc.sum(found.ours["distance_km"]).as_py() / found.km
    assert outside < 0.13
    assert found.far_without_silence == 0
    assert found.far_pauses / found.pauses < 0.2
