"""Dashboards are files: what they may say, what Superset is given of them, and that dbt names them as readers."""

import re
from pathlib import Path

import msgspec
import pytest
import yaml

from bi.bundle import bundle, heading, label, marts_in, number_format
from bi.dashboard import FOLDER, dashboards, read_dashboard
from contracts.errors import BadSettings
from contracts.regions import WORLD
from marts.dbt import PROJECT
from marts.metrics import metrics_of

DSN = "postgresql://bi_reader_eu:secret@127.0.0.1:5432/fleet_eu"
REF = re.compile(r"ref\('(\w+)'\)")


def manifest_of(scope: str) -> dict:
    """As dbt's manifest has the marts, of the YAML beside them."""
    nodes = {}
    for file in (PROJECT / "models" / scope / "marts").glob("*.yml"):
        for model in yaml.safe_load(file.read_text(encoding="utf-8"))["models"]:
            columns = {column["name"]: {"description": "", "data_type": ""} | column for column in model["columns"]}
            found = {"name": model["name"], "description": model["description"], "columns": columns}
            nodes[model["name"]] = {"resource_type": "model", "fqn": ["fleetlake", scope, "marts", "x"], **found}
    return {"nodes": nodes}


def files_of(region: str) -> dict:
    scope = WORLD if region == WORLD else "region"
    chosen = [one for one in dashboards() if one.scope == scope]
    return bundle(region, DSN, marts_in(manifest_of(scope)), chosen)


@pytest.mark.parametrize("region", ["eu", WORLD])
def test_every_chart_has_its_mart_its_columns_and_its_place(region: str) -> None:
    files = files_of(region)
    charts = {file["uuid"]: file for name, file in files.items() if name.startswith("charts/")}
    datasets = {file["uuid"]: file for name, file in files.items() if name.startswith("datasets/")}
    placed = [
        block["meta"]["uuid"]
        for name, file in files.items()
        if name.startswith("dashboards/")
        for block in file["position"].values()
        if isinstance(block, dict) and block["type"] == "CHART"
    ]
    assert sorted(placed) == sorted(charts)
    for chart in charts.values():
        metrics = {metric["metric_name"] for metric in datasets[chart["dataset_uuid"]]["metrics"]}
        used = chart["params"].get("metrics", [chart["params"].get("metric")])
        assert {name for name in used if name} <= metrics, chart["slice_name"]


def test_a_regions_dashboards_are_of_its_database_alone() -> None:
    eu, us = files_of("eu"), files_of("us")
    assert {file["uuid"] for file in eu.values()}.isdisjoint(file["uuid"] for file in us.values())
    assert files_of("eu") == eu  # the same ids each time: an import replaces what is there
    assert [name for name, file in eu.items() if "secret" in str(file)] == ["databases/fleet_eu.yaml"]


def test_columns_bring_their_descriptions_and_metrics_their_unit() -> None:
    dataset = files_of("eu")["datasets/fleet_eu/device_day.yaml"]
    described = {column["column_name"]: column["description"] for column in dataset["columns"]}
    assert described["distance_gps_km"].endswith("km.")
    (fuel,) = [one for one in dataset["metrics"] if one["metric_name"] == "fuel_per_100_km"]
    assert "Unit: l/100 km." in fuel["description"]
    known = {metric.name: metric for metric in metrics_of("eu")}
    assert (label(known["distance"]), number_format(known["distance"])) == ("Distance, km", ",.0f")
    assert (label(known["utilisation"]), number_format(known["utilisation"])) == ("Utilisation", ".1%")
    assert [label(known[name]) for name in ("fuel", "idling_fuel")] == ["Fuel, l", "Fuel of idling events, l"]


@pytest.mark.parametrize("scope", ["region", WORLD])
def test_dbt_names_the_dashboards_and_the_marts_that_they_read(scope: str) -> None:
    exposures = yaml.safe_load((PROJECT / "models" / scope / "exposures.yml").read_text(encoding="utf-8"))["exposures"]
    named = {one["name"]: set(REF.findall(" ".join(one["depends_on"]))) for one in exposures}
    shown = {
        one.slug.replace("-", "_"): {chart.mart for chart in one.chart} for one in dashboards() if one.scope == scope
    }
    assert named == shown


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('metrics = ["utilisation"]', 'metrics = ["usage"]'), "no metric 'usage'"),
        (('mart = "fleet_type_day"', 'mart = "trip"'), "is of fleet_type_day, not of trip"),
        (("width = 2", "width = 3"), "row 1 is 13 wide; make it 12"),
        (('metrics = ["utilisation"]\n', ""), "a number needs metrics"),
        (('kind = "number"', 'kind = "gauge"'), "gauge"),
        (("[[chart]]", '[[text]]\nwords = "Read this."\nrow = 1\n\n[[chart]]'), "a text needs a row of its own"),
    ],
)
def test_a_dashboard_that_cannot_be_shown_is_refused(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    text = (FOLDER / "1_fleet_utilisation.toml").read_text(encoding="utf-8")
    bad = tmp_path / "bad.toml"
    bad.write_text(text.replace(*change, 1), encoding="utf-8")
    with pytest.raises(BadSettings, match=r"bad\.toml") as refused:
        read_dashboard(bad)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("column", "shown"),
    [("device_id", "Device"), ("left_engine_h", "Left engine, h"), ("max_speed_kmh", "Max speed, km/h"),
     ("first_seen_ts", "First seen"), ("is_due", "Is due"), ("h", "H")],
)  # fmt: skip
def test_a_column_has_a_heading_for_people(column: str, shown: str) -> None:
    assert heading(column) == shown


def test_rows_are_sorted_and_their_numbers_have_the_digits_of_their_unit() -> None:
    (chart,) = [one for one in files_of("eu").values() if one.get("slice_name") == "Services, what is due first"]
    assert chart["params"]["order_by_cols"] == ['["is_due",false]', '["device_id",true]']
    assert chart["params"]["column_config"]["left_engine_h"] == {"d3NumberFormat": ",.1f"}


def test_what_a_reader_has_to_know_stands_on_the_dashboard_between_its_charts() -> None:
    position = files_of("eu")["dashboards/eu-data-quality.yaml"]["position"]
    (text,) = [one for one in position.values() if isinstance(one, dict) and one["type"] == "MARKDOWN"]
    assert "more than an hour after its event time" in text["meta"]["code"]
    assert position["GRID_ID"]["children"] == [f"ROW-{row}" for row in (1, 2, 3, 4, 5)]
    assert position["ROW-2"]["children"] == [text["id"]]


def test_every_bar_has_its_name_and_no_chart_warns_of_a_limit_that_it_is_meant_to_reach() -> None:
    charts = {file["slice_name"]: file["params"] for file in files_of("eu").values() if "slice_name" in file}
    named = charts["Utilisation by kind of machine"]
    assert (named["xAxisLabelInterval"], named["xAxisLabelRotation"]) == ("0", 45)
    assert charts["Idling and its fuel, by device"]["row_limit"] == 1000


def test_a_filter_of_a_column_that_no_mart_has_is_named() -> None:
    (dashboard,) = [one for one in dashboards() if one.slug == "fleet-utilisation"]
    wrong = msgspec.structs.replace(dashboard, filters=("fault_episode.fleet_id",))
    with pytest.raises(BadSettings, match=r"its filter 'fault_episode\.fleet_id'"):
        bundle("eu", DSN, marts_in(manifest_of("region")), [wrong])


def test_a_column_that_no_mart_has_is_named() -> None:
    marts = marts_in(manifest_of("region"))
    without = marts | {"fault_episode": type(marts["trip"])("fault_episode", "", ())}
    with pytest.raises(BadSettings, match="fault_episode has no column"):
        bundle("eu", DSN, without, [one for one in dashboards() if one.slug == "maintenance-and-faults"])
