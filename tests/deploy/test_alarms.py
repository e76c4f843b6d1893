"""Alarms read metrics that the processes export and the reference documents, and each has its part of the runbook."""

import re
from pathlib import Path

import msgspec
import pytest

from deploy.agent import agent_settings
from deploy.alarms import ALARMS, CONSUMER, GATEWAY, RUNBOOK, SERVING, WATCH, Alarm, watched
from deploy.watch import Seen
from ingest.runtime.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
PAGES = {GATEWAY: "gateway.md", SERVING: "api.md"}


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_the_alarm_s_metric_is_exported(alarm: Alarm) -> None:
    if alarm.role == CONSUMER:
        exported = {family.name for family in Metrics().registry.collect()}
        assert alarm.full_metric.removesuffix("_total") in exported
    elif alarm.role == WATCH:
        assert alarm.metric in Seen.__struct_fields__
    else:
        page = (ROOT / "docs" / "reference" / PAGES[alarm.role]).read_text(encoding="utf-8")
        assert f"| `{alarm.metric}` |" in page


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_the_runbook_says_what_to_do(alarm: Alarm) -> None:
    page = (ROOT / RUNBOOK).read_text(encoding="utf-8")
    part = re.search(rf"^## {alarm.name}\n(.+?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert part is not None, f"{RUNBOOK} has no part ## {alarm.name}"
    assert len(part[1].split()) > 20


def test_names_are_once() -> None:
    assert len({alarm.name for alarm in ALARMS}) == len(ALARMS)


@pytest.mark.parametrize("role", [CONSUMER, GATEWAY, SERVING])
def test_the_agent_sends_what_alarms_and_policies_read(role: str) -> None:
    text = msgspec.json.encode(agent_settings("eu", role)).decode()
    assert all(f"^{name}$" in text for name in watched(role))
    assert '"dimensions":[["region"]]' in text


def test_what_the_watch_tells_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "watch.md").read_text(encoding="utf-8")
    assert [name for name in Seen.__struct_fields__ if f"| `{name}` |" not in page] == []
