"""Metrics are defined once: what the files may say, and that the reference page says the same."""

from pathlib import Path

import pytest
import yaml

from contracts.errors import BadSettings
from contracts.regions import WORLD
from marts.dbt import PROJECT
from marts.metrics import UNITS, metrics_of, reference_page
from marts.metrics.table import read_metrics

ROOT = PROJECT.parent
ONE = """
[[metric]]
name = "idling_share"
label = "Idling share"
meaning = "Share of engine time in which devices stand."
unit = "ratio"
mart = "fleet_day"
numerator = "sum(idle_s)"
denominator = "sum(utilisation_engine_s)"
source = "docs/how-to/ask-the-marts.md"
"""


def test_the_reference_page_is_what_is_printed() -> None:
    assert (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8") == reference_page()


@pytest.mark.parametrize("region", ["eu", WORLD])
def test_each_metric_is_of_a_mart_and_its_source_is_there(region: str) -> None:
    folder = PROJECT / "models" / ("world" if region == WORLD else "region") / "marts"
    models = [model for file in folder.glob("*.yml") for model in yaml.safe_load(file.read_text())["models"]]
    marts = {model["name"] for model in models}
    for metric in metrics_of(region):
        assert metric.mart in marts, metric.name
        assert all((ROOT / word.strip(",;")).exists() for word in metric.source.split() if word.startswith("docs/"))
        assert metric.unit != "ratio" or metric.denominator, metric.name


def test_numerator_and_denominator_are_summed_before_they_are_divided(tmp_path: Path) -> None:
    (metric,) = read_metrics(_file(tmp_path, ONE))
    assert metric.expression == "(sum(idle_s))::double precision / nullif(sum(utilisation_engine_s), 0)"
    assert metric.sql == f"select {metric.expression} as idling_share from marts.fleet_day"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ONE + ONE, "idling_share is defined twice"),
        (ONE.replace('"ratio"', '"percent"'), f"unit 'percent'; units are {UNITS[0]}"),
        (ONE.replace("numerator", "enumerator"), "enumerator"),
        (ONE.replace('source = "docs/how-to/ask-the-marts.md"', ""), "source"),
    ],
)
def test_a_bad_file_is_refused_and_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadSettings, match=r"metrics\.toml") as refused:
        read_metrics(_file(tmp_path, text))
    assert said in str(refused.value)


def _file(folder: Path, text: str) -> Path:
    path = folder / "metrics.toml"
    path.write_text(text, encoding="utf-8")
    return path
