"""The reference says what there is, and nothing else."""

import re
from pathlib import Path

from jsonschema import Draft202012Validator

from contracts.serving_settings import ServingSettings
from contracts.settings import RegionSettings
from serving import problems
from serving.http.document import described
from serving.metrics import Metrics
from serving.service.app import build
from tests.contracts.test_settings import ENVIRON

DOCS = Path(__file__).parents[2] / "docs"


def test_every_setting_is_documented_with_its_default() -> None:
    rows = (DOCS / "settings.md").read_text().splitlines()
    documented = {row.split("|")[1].strip(): row.split("|")[2].strip() for row in rows if "| FLEETLAKE_SERVING_" in row}
    expected = {
        f"FLEETLAKE_SERVING_{name.upper()}": ""
        if field.default in (None, "")
        else f"{field.default}".removesuffix(".0")
        for name, field in ServingSettings.model_fields.items()
    }
    assert {name: told.strip("`") for name, told in documented.items()} == expected


def test_every_metric_is_documented_and_nothing_else() -> None:
    page = (DOCS / "reference" / "api.md").read_text()
    names = {family.name + ("_total" if family.type == "counter" else "") for family in Metrics().registry.collect()}
    table = page.partition("## Metrics")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    assert {f"fleetlake_serving_{name}" for name in documented} == names


def test_every_problem_is_documented_with_its_status() -> None:
    page = (DOCS / "reference" / "api.md").read_text().partition("## Problems")[2].partition("\n## ")[0]
    documented = {(kind, int(status)) for kind, status in re.findall(r"^\| `([\w-]+)` \| (\d+) \|", page, re.MULTILINE)}
    kinds = [one for one in vars(problems).values() if isinstance(one, type) and issubclass(one, problems.Problem)]
    assert documented == {(one.kind, one.status) for one in kinds}


def test_every_path_is_documented() -> None:
    page = (DOCS / "reference" / "api.md").read_text()
    app = build(RegionSettings.load(ENVIRON))._app
    paths = [re.sub(r"\{\w+_id\}", "ID", path) for path in app.openapi_schema.paths]
    assert len(paths) > 10
    assert [path for path in paths if path not in page and f"`/{path.rpartition('/')[2]}`" not in page] == []


def test_the_openapi_document_has_examples_units_and_problems() -> None:
    raw = build(RegionSettings.load(ENVIRON))._app.openapi_schema.to_schema()
    document = described(raw)
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    assert not [name for name in names if re.search(r"V1|[^A-Za-z]", name)]
    lacking = {one["name"] for each in operations for one in each.get("parameters", ()) if one["example"] is None}
    assert lacking == set()
    for operation in operations:
        refused = {code: answer for code, answer in operation["responses"].items() if not code.startswith("2")}
        assert {"400", "401", "404", "429", "503"} <= set(refused)
        assert all("application/problem+json" in answer["content"] for answer in refused.values())
    trip = document["components"]["schemas"]["Trip"]["properties"]
    assert (trip["distance_km"]["description"], trip["distance_km"]["examples"]) == ("km.", [212.4])
    fields = [
        (name, field)
        for one in document["components"]["schemas"].values()
        for name, field in one.get("properties", {}).items()
    ]
    assert [
        name for name, field in fields if name.endswith(("_km", "_kmh", "_s", "_l")) and "description" not in field
    ] == []
    assert document == described(raw)
    examples = [(field, one) for _, field in fields for one in field.get("examples", ())]
    examples += [(one["schema"], one["example"]) for each in operations for one in each.get("parameters", ())]
    assert len(examples) > 100
    for schema, example in examples:
        if "$ref" not in str(schema):
            Draft202012Validator(schema).validate(example)


def test_what_is_vendored_has_its_licence_beside_it() -> None:
    vendor = Path(__file__).parents[2] / "serving" / "web" / "vendor"
    folders = [folder for folder in vendor.iterdir() if folder.is_dir()]
    assert {folder.name for folder in folders} == {"maplibre-gl", "world-atlas", "topojson-client"}
    assert all(any(file.name.startswith("LICENSE") for file in folder.iterdir()) for folder in folders)


def test_each_of_owasps_ten_names_tests_that_there_are() -> None:
    page = (DOCS / "reference" / "api.md").read_text().partition("## OWASP")[2].partition("\n## ")[0]
    rows = [row for row in page.splitlines() if row.startswith("| API")]
    assert [row.split()[1] for row in rows] == [f"API{number}" for number in range(1, 11)]
    for row in rows:
        named = re.findall(r"`(\w+\.py)::(test_\w+)`", row)
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (Path(__file__).parent / file).read_text(), (file, test)


def test_the_service_asks_the_key_set_and_public_addresses_alone() -> None:
    root = Path(__file__).parents[2] / "serving"
    clients = re.compile(r"^\s*(?:import|from) (?:httpx|aiohttp|requests|http\.client|urllib\.request|urllib3)\b", re.M)
    fetching = {str(file.relative_to(root)) for file in root.rglob("*.py") if clients.search(file.read_text())}
    assert fetching == {"access/keys.py", "webhooks/reaching.py", "webhooks/sending.py"}
    assert "ClientSession" not in (root / "webhooks" / "sending.py").read_text().replace("aiohttp.ClientSession |", "")
