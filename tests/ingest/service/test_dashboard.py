"""The Grafana dashboard asks for metrics and labels that the consumer has, and for all of its metrics."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.metrics import MetricWrapperBase

from ingest.runtime.metrics import Metrics
from tests.builders.virtual_time import VirtualClock, run_virtually

DASHBOARD = Path(__file__).parents[3] / "docs" / "grafana" / "consumer.json"
PROMETHEUS_LABELS = {"instance", "job", "le"}
MATCHERS = re.compile(r"\b(fleetlake_ingest_\w+)\{([^}]*)\}")
SUMS = re.compile(r"\b(?:by|on|group_left) \(([^)]+)\) ?\(?")
SHOWN = re.compile(r"\{\{(\w+)\}\}")


def _exported() -> dict[str, set[str]]:
    """Metrics as Prometheus names them, each with its labels."""

    async def found() -> dict[str, set[str]]:
        metrics = [part for part in vars(Metrics(clock=VirtualClock())).values() if isinstance(part, MetricWrapperBase)]
        return {_named(one): set(one._labelnames) for one in metrics}

    return run_virtually(found())


def _named(metric: MetricWrapperBase) -> str:
    ending = {"counter": "_total", "histogram": "_bucket"}.get(metric._type, "")
    return metric._name + ending


def _targets() -> Iterator[dict[str, Any]]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield from panel.get("targets", ())


def _asked(expression: str) -> set[str]:
    return set(re.findall(r"\bfleetlake_ingest_\w+", expression))


def test_the_dashboard_asks_for_every_metric_and_for_no_other() -> None:
    asked = set().union(*(_asked(target["expr"]) for target in _targets()))
    assert asked == set(_exported())


def test_every_label_is_one_that_the_expressions_metrics_have() -> None:
    exported, looked_at = _exported(), 0
    for target in _targets():
        expression = target["expr"]
        known = PROMETHEUS_LABELS.union(*(exported[name] for name in _asked(expression)))
        grouped = {label.strip() for labels in SUMS.findall(expression) for label in labels.split(",")}
        shown = set(SHOWN.findall(target["legendFormat"]))
        assert grouped <= known, expression
        assert shown <= grouped, (expression, target["legendFormat"])
        for name, matchers in MATCHERS.findall(expression):
            assert {part.partition("=")[0] for part in matchers.split(",")} <= exported[name], expression
        looked_at += len(grouped)
    assert looked_at > 20


def test_the_dashboard_can_be_imported() -> None:
    document = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in document["panels"]]
    assert len(ids) == len(set(ids)) > 25
    assert document["uid"] == "fleetlake-consumer"
    assert {variable["name"] for variable in document["templating"]["list"]} == {"datasource", "region"}
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in document["panels"]]
    assert len(places) == len(set(places))
