"""The Grafana dashboard asks for the metrics and labels that the gateway has, and for all of its metrics."""

import json
import re
from pathlib import Path
from typing import Any

from prometheus_client.metrics import MetricWrapperBase

from gateway.metrics import Metrics

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "gateway.json"
ENDINGS = {"counter": "_total", "histogram": "_bucket"}
GROUPED = re.compile(r"\b(?:by|on|group_left) \(([^)]+)\)")
SHOWN = re.compile(r"\{\{(\w+)\}\}")


def exported() -> dict[str, set[str]]:
    """Metrics as Prometheus names them, each with its labels."""
    found = [part for part in vars(Metrics("eu", "p")).values() if isinstance(part, MetricWrapperBase)]
    return {one._name + ENDINGS.get(one._type, ""): set(one._labelnames) for one in found}


def targets() -> list[dict[str, Any]]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target for panel in panels for target in panel.get("targets", ())]


def asked(expression: str) -> set[str]:
    return set(re.findall(r"\bfleetlake_gateway_\w+", expression))


def test_the_dashboard_asks_for_every_metric_and_for_no_other() -> None:
    assert set().union(*(asked(target["expr"]) for target in targets())) == set(exported())


def test_every_label_is_one_that_the_expressions_metrics_have() -> None:
    names, looked_at = exported(), 0
    for target in targets():
        known = {"instance", "le"}.union(*(names[name] for name in asked(target["expr"])))
        grouped = {label.strip() for labels in GROUPED.findall(target["expr"]) for label in labels.split(",")}
        assert grouped <= known, target["expr"]
        assert set(SHOWN.findall(target["legendFormat"])) <= grouped, target["expr"]
        looked_at += len(grouped - {"instance"})
    assert looked_at > 10


def test_the_dashboard_can_be_imported() -> None:
    document = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in document["panels"]]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in document["panels"]]
    assert len(ids) == len(set(ids)) == len(set(places)) > 20
    assert document["uid"] == "fleetlake-gateway"
    assert {variable["name"] for variable in document["templating"]["list"]} == {"datasource", "region"}
