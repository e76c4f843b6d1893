"""What people enter of work hours and services, before any store is asked: what is read, and what is refused."""

import re
from datetime import date, time
from pathlib import Path

import pytest

from contracts.errors import BadInputFile, Misuse
from marts.driving import Shift, shifts
from marts.services import Done, Plan, read


def test_hours_are_a_shift_a_day_and_end_at_24_at_most():
    assert shifts(["mon-tue 07:00-18:30", "sat 22:00-24:00"]) == [
        Shift(1, time(7), "18:30"),
        Shift(2, time(7), "18:30"),
        Shift(6, time(22), "24:00"),
    ]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("mon", "'mon' are no work hours"),
        ("xxx 07:00-08:00", "are no work hours"),
        ("mon 7-8", "are no work hours"),
        ("fri-mon 07:00-08:00", "go forward"),
        ("mon 22:00-06:00", "a night is two shifts"),
        ("mon 07:00-24:30", "to 24:00 at most"),
        ("mon 07:61-08:00", "go forward"),
    ],
)
def test_hours_that_are_none_are_misuse(word, said):
    with pytest.raises(Misuse, match=re.escape(said)):
        shifts([word])


def test_a_file_has_plans_or_services_that_were_done(tmp_path: Path):
    plans, done = tmp_path / "plans.csv", tmp_path / "done.csv"
    plans.write_text("plan_id,task,fleet_id,every_km,every_days\noil,Oil,north,30000,365\nbelt,Belt,,,730\n")
    done.write_text("device_id,plan_id,done_on\nvan-7,oil,2026-11-20\n")
    assert list(read(plans)) == [
        Plan(plan_id="oil", task="Oil", fleet_id="north", every_km=30000, every_days=365),
        Plan(plan_id="belt", task="Belt", every_days=730),
    ]
    assert list(read(done)) == [Done(device_id="van-7", plan_id="oil", done_on=date(2026, 11, 20))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plan_id,task,every_km\noil,Oil,ten\n", "line 2: Expected `float | null`, got `str` - at `$.every_km`"),
        ("plan_id,every_km\noil,10\n", "line 2: Object missing required field `task`"),
        ("plan_id,task,km\noil,Oil,10\n", "line 2: Object contains unknown field `km`"),
        ("device_id,plan_id,done_on\nvan-7,oil,20.11.2026\n", "line 2: Invalid RFC3339 encoded date"),
    ],
)
def test_a_file_that_cannot_be_entered_names_its_line(tmp_path: Path, text, said):
    file = tmp_path / "file.csv"
    file.write_text(text)
    with pytest.raises(BadInputFile, match=re.escape(said)):
        list(read(file))
