"""What retention removed and what is restricted is counted, and is no difference; a loss beside it still is one."""

from datetime import timedelta
from pathlib import Path

import pytest
from pyiceberg.expressions import And, EqualTo, LessThan, Reference

import stack as embedded
from contracts.names import DEVICE_DAY_TABLE, EPISODE_TABLE, FAULT_DAY_TABLE
from contracts.settings import RegionSettings
from lake.derive.changed_days import harvest
from lake.derive.progress import due_days
from lake.iceberg.snapshots import RETENTION
from lake.iceberg.tables import history, table
from lake.maintain.expired import account_expired, expired_rows
from reconcile import Reconciliation, reconcile
from tests.builders.query import DAY, Rows, device_name
from tests.builders.scene import Scene

GONE, HIDDEN = device_name(1), device_name(2)
TOMORROW = DAY + timedelta(days=1)


@pytest.fixture(scope="module")
def region(own_stack: Path) -> Scene:
    """Two event days of three devices, 20 records each day and device, a merge each; proven."""
    made = Scene(RegionSettings.load(embedded.region_environment(own_stack, "us", {})))
    rows = Rows()
    for day in (DAY, TOMORROW):
        some = rows.make(devices=3, each=20, start=day + timedelta(hours=9))
        made.flush(some)
        made.merge(some)
    made.load(made.derive())
    assert agreeing(made).stages["history"] == 120
    return made


def agreeing(scene: Scene) -> Reconciliation:
    result = reconcile(scene.settings)
    assert result.ok, result.differences
    return result


def expire(scene: Scene, device: str) -> None:
    """As a run of retention leaves it: the device's first day gone from every table."""
    settings, day = scene.settings, DAY.date().isoformat()
    ended = LessThan(term=Reference("ts"), value=TOMORROW.isoformat())
    own = EqualTo(term=Reference("device_id"), value=device)
    history(settings).delete(And(own, ended), snapshot_properties={RETENTION: day})
    of_day = And(own, EqualTo(term=Reference("day"), value=day))
    for name in (DEVICE_DAY_TABLE, EPISODE_TABLE, FAULT_DAY_TABLE):
        table(settings, name).delete(of_day)
    for name in ("staging.device_day", "staging.episode", "staging.fault_day"):
        scene.sql(f"delete from {name} where device_id = '{device}' and day = '{day}'")
    account_expired(settings)
    harvest(settings)


def test_what_retention_removed_is_counted_and_no_difference(region: Scene) -> None:
    expire(region, GONE)
    region.build_marts()
    assert due_days(region.settings) == []
    for whole in (False, True):
        result = reconcile(region.settings, whole=whole)
        assert result.ok, result.differences
        assert {name: result.stages[name] for name in ("landed", "history", "expired", "duplicates", "device_day")} == {
            "landed": 120,
            "history": 100,
            "expired": 20,
            "duplicates": 0,
            "device_day": 100,
        }
    assert account_expired(region.settings) == 0  # each commit once
    assert expired_rows(region.settings) == 20


def test_what_is_restricted_is_in_staging_and_not_in_the_marts(region: Scene) -> None:
    region.sql("insert into registry.restriction (device_id) values (%s)", [HIDDEN])
    region.build_marts()
    result = agreeing(region)
    assert (result.stages["device_day"], result.stages["marts"]) == (100, 60)
    assert any("restricted" in note and "40" in note for note in result.notes)
    region.sql("delete from registry.restriction")
    assert not reconcile(region.settings).ok  # shown again, and the marts still lack it
    region.build_marts()
    assert agreeing(region).stages["marts"] == 100


def test_a_loss_on_a_day_that_retention_touched_is_still_found(region: Scene) -> None:
    own = EqualTo(term=Reference("device_id"), value=HIDDEN)
    history(region.settings).delete(And(own, LessThan(term=Reference("ts"), value=TOMORROW.isoformat())))
    found = reconcile(region.settings)
    assert any("history lacks 20 records" in sentence for sentence in found.differences), found.differences
