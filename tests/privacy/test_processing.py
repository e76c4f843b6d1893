"""The record of processing names every store and the class of every column, and the page is in step with the code."""

import inspect
import re
from pathlib import Path

import psycopg
import pytest

from contracts import names
from contracts.columns import Privacy
from contracts.errors import SchemaMismatch
from contracts.processing import classes, classes_of, processing, tables_of
from contracts.regions import load_regions
from lake.iceberg.tables import specs
from marts import classes as of_marts
from marts.classes import mart_classes
from privacy.processing_record import as_markdown, record_of_processing

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "record-of-processing.md"
COLUMNS = """select table_schema || '.' || table_name, column_name::text from information_schema.columns
    join information_schema.tables using (table_schema, table_name)
    where table_schema in ('registry', 'ops', 'staging', 'privacy') and table_type = 'BASE TABLE'"""


def everything() -> dict:
    return classes() | mart_classes()


def test_the_page_is_what_the_command_prints():
    record = record_of_processing(load_regions(ROOT / "regions.toml").values(), everything(), mart_classes("world"))
    assert PAGE.read_text(encoding="utf-8") == as_markdown(record), "print it again: fleetlake processing"


def test_every_column_of_postgres_has_a_class(stack):
    settings = stack.settings("ap")
    found: set[tuple[str, str]] = set()
    for dsn in (settings.postgres_dsn, settings.privacy_dsn):
        with psycopg.connect(dsn.get_secret_value()) as connection:
            found |= set(connection.execute(COLUMNS).fetchall())
    known = {(table, column) for table, columns in classes().items() for column in columns}
    of_postgres = {one for one in known if one[0].split(".")[0] in ("registry", "ops", "staging", "privacy")}
    assert len(found) > 250
    assert found - of_postgres == set(), "columns without a privacy class: name them in contracts/classes.toml"
    assert of_postgres - found == set(), "columns that Postgres has not"


def test_every_table_is_of_a_store_and_every_store_has_classes_purposes_and_recipients(stack):
    known = processing()
    tables = everything()
    of_stores = {name for store in known.stores for name, _ in tables_of(store, tables)}
    assert set(tables) - of_stores == set()
    assert {spec.name for spec in specs(stack.settings("ap"))} <= set(tables)
    for store in known.stores:
        assert classes_of(store, tables), store.name
        assert set(store.purposes) <= set(known.purposes) and store.purposes, store.name
        assert set(store.recipients) <= set(known.recipients) and store.recipients, store.name
        assert store.kept and (store.copy_of is None or known.store(store.copy_of)), store.name


def test_every_family_of_keys_and_every_prefix_is_of_a_store():
    places = " ".join(store.place for store in processing().stores)
    keys = [
        made(*("R" if name == "region" else "x" for name in inspect.signature(made).parameters))
        for label, made in inspect.getmembers(names, inspect.isfunction)
        if label.startswith("redis_")
    ]
    families = {re.sub(r":x$", "", key.removeprefix("R")) for key in keys}
    assert len(families) > 10
    assert {family for family in families if family not in places.replace("{region}", "")} == set()
    for prefix in ("landing/", "rejected/", "replayed/", "warehouse/", "exports/", "exchange/"):
        assert prefix in places


def test_a_column_of_a_mart_without_a_class_is_named(tmp_path, monkeypatch):
    folder = tmp_path / "region" / "marts"
    folder.mkdir(parents=True)
    (folder / "x.yml").write_text("models:\n  - name: x\n    columns:\n      - {name: device_id, data_type: text}\n")
    monkeypatch.setattr(of_marts, "MODELS", tmp_path)
    with pytest.raises(SchemaMismatch, match=r"x\.yml: column device_id has no privacy class"):
        mart_classes()


def test_a_region_names_who_decides_and_nothing_that_names_nobody_is_called_an_identifier():
    record = record_of_processing(load_regions(ROOT / "regions.toml").values(), everything(), mart_classes("world"))
    assert [one["region"] for one in record["controllers"]] == list(load_regions(ROOT / "regions.toml"))
    assert set(record["world"]["marts.utilisation_day"]) == {Privacy.AGGREGATE.value, Privacy.TECHNICAL.value}
