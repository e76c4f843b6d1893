"""What a region costs: sums that add up, growth where there is more to do, and prices that are all used."""

import re
from pathlib import Path

import pytest

from contracts.errors import Misuse
from deploy.cost.model import TASKS, cost_of
from deploy.cost.prices import PRICES
from deploy.deployment import load_deployment
from tests.builders.command import reported

ROOT = Path(__file__).resolve().parents[2]
SIZES = (50_000, 400_000, 4_000_000)


def of_service(devices: int, interval_s: float = 10.0) -> dict[str, float]:
    return {line.service: line.usd for line in cost_of(load_deployment(), devices, interval_s, 40).lines}


def test_more_devices_cost_more_and_each_less() -> None:
    costs = [cost_of(load_deployment(), devices, 10, 40).usd for devices in SIZES]
    assert costs == sorted(costs)
    each = [cost / devices for cost, devices in zip(costs, SIZES, strict=True)]
    assert each == sorted(each, reverse=True)


def test_records_half_as_often_cost_half_the_lake_and_no_less_live_state() -> None:
    often, seldom = of_service(400_000, 10), of_service(400_000, 20)
    assert seldom["S3"] == pytest.approx(often["S3"] / 2, rel=0.05)
    assert seldom["ElastiCache"] == often["ElastiCache"]
    assert seldom["consumer"] < often["consumer"]


def test_a_month_has_the_records_that_its_devices_send() -> None:
    found = cost_of(load_deployment(), 400_000, 10, 40)
    assert found.peak_records_s == pytest.approx(40_000)
    most = found.peak_records_s * 730 * 3_600
    assert 0.5 * most < found.records_month < most


def test_every_price_is_used_and_has_its_source() -> None:
    used = set(re.findall(r'"([a-z0-9_.]+)"', (ROOT / "deploy" / "cost" / "model.py").read_text(encoding="utf-8")))
    assert set(PRICES) <= used
    assert all(price.usd > 0 and price.source.startswith("https://aws.amazon.com/") for price in PRICES.values())


def test_tasks_are_as_large_as_the_stack_makes_them() -> None:
    text = (ROOT / "deploy" / "stacks" / "services.py").read_text(encoding="utf-8")
    for name in ("gateway", "consumer", "serving"):
        part = text[text.index(f'name="{name}"') :]
        cpu, memory = (re.search(rf"{word}=(\d+)", part) for word in ("cpu", "memory_mib"))
        assert cpu is not None
        assert memory is not None
        assert TASKS[name] == (int(cpu[1]) / 1024, int(memory[1]) / 1024)


def test_limits_that_bind_are_told() -> None:
    notes = cost_of(load_deployment(), 4_000_000, 10, 40).notes
    assert any("gateway.tasks" in note for note in notes)
    assert any("records/s" in note for note in notes)


@pytest.mark.parametrize(("devices", "interval"), [(0, 10), (1, 0), (1, 100_000)])
def test_a_fleet_that_cannot_be_is_refused(devices: int, interval: float) -> None:
    with pytest.raises(Misuse):
        cost_of(load_deployment(), devices, interval, 40)


def test_the_command_prints_the_same_as_json(tmp_path: Path) -> None:
    document = reported(tmp_path, "cost", "--devices", "50000", "--interval", "10")
    assert document["usd"] == pytest.approx(sum(line["usd"] for line in document["lines"]), abs=0.01)
    assert document["prices"]["looked_up"]
    assert {"measured", "assumed"} <= set(document)
