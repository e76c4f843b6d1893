"""Settings come from the environment only, are checked at start, and never show a secret."""

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from contracts.errors import BadSettings
from contracts.settings import RegionSettings, WorldSettings

ENVIRON = {
    "FLEETLAKE_REGION": "eu",
    "FLEETLAKE_KINESIS_ENDPOINT": "http://127.0.0.1:1",
    "FLEETLAKE_KINESIS_ACCESS_KEY": "AKIA",
    "FLEETLAKE_KINESIS_SECRET_KEY": "s3cr3t-kinesis",
    "FLEETLAKE_REDIS_URL": "redis://eu:s3cr3t-redis@127.0.0.1/0",
    "FLEETLAKE_POSTGRES_DSN": "postgresql://eu:s3cr3t-pg@127.0.0.1/fleet_eu",
    "FLEETLAKE_PRIVACY_DSN": "postgresql://eu:s3cr3t-pg@127.0.0.1/privacy_eu",
    "FLEETLAKE_RELEASE_KEY": "s3cr3t-key",
}


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in ENVIRON.items() if key != name}


def test_nested_services_and_defaults_load() -> None:
    settings = RegionSettings.load(ENVIRON)
    assert settings.kinesis.client_kwargs("eu-central-1")["aws_access_key_id"] == "AKIA"
    assert settings.s3.client_kwargs("eu-central-1") == {"region_name": "eu-central-1"}
    assert (settings.flush_mib, settings.cohort_size, settings.row.name) == (128, 10, "eu")


def test_no_secret_shows_in_repr_or_str() -> None:
    settings = RegionSettings.load(ENVIRON)
    assert "s3cr3t" not in repr(settings) + str(settings) + str(settings.model_dump())


@pytest.mark.parametrize("name", ["FLEETLAKE_REGION", "FLEETLAKE_REDIS_URL", "FLEETLAKE_POSTGRES_DSN"])
def test_a_missing_setting_is_named(name: str) -> None:
    with pytest.raises(BadSettings, match=f"{name}: field required"):
        RegionSettings.load(without(name))


def test_a_wrong_value_names_its_variable_and_no_secret() -> None:
    with pytest.raises(BadSettings) as caught:
        RegionSettings.load({**ENVIRON, "FLEETLAKE_FLUSH_ROWS": "many"})
    assert "FLEETLAKE_FLUSH_ROWS" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_buckets_have_any_name_that_s3_takes() -> None:
    settings = RegionSettings.load(ENVIRON | {"FLEETLAKE_LAKE_BUCKET": "acme.eu-1"})
    assert (settings.bucket, settings.warehouse) == ("acme.eu-1", "s3://acme.eu-1/warehouse")
    assert RegionSettings.load(ENVIRON).bucket == "lake-eu"
    with pytest.raises(BadSettings, match="FLEETLAKE_EXCHANGE_BUCKET"):
        RegionSettings.load(ENVIRON | {"FLEETLAKE_EXCHANGE_BUCKET": "s3://exchange"})


def test_the_catalogs_uri_keeps_any_password() -> None:
    database = {"user": "e u", "password": "p@ss/w:rd?%", "host": "db", "port": "6432", "dbname": "fleet_eu"}
    uri = make_url(RegionSettings.load(ENVIRON).catalog_properties(database)["uri"])
    assert (uri.username, uri.password, uri.host, uri.port) == ("e u", "p@ss/w:rd?%", "db", 6432)
    assert (uri.database, uri.query["options"]) == ("fleet_eu", "-csearch_path=iceberg")


def test_on_glue_the_catalog_needs_no_database() -> None:
    settings = RegionSettings.load(ENVIRON | {"FLEETLAKE_CATALOG": "glue"})
    properties = settings.catalog_properties({})
    assert (properties["type"], properties["warehouse"]) == ("glue", "s3://lake-eu/warehouse")
    assert "uri" not in properties


def test_half_a_key_pair_is_refused() -> None:
    with pytest.raises(BadSettings, match=r"FLEETLAKE_KINESIS.*both"):
        RegionSettings.load(without("FLEETLAKE_KINESIS_SECRET_KEY"))


def test_a_mapping_hides_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETLAKE_FLUSH_ROWS", "7")
    assert RegionSettings.load(ENVIRON).flush_rows != 7


def test_the_process_environment_is_read_where_no_mapping_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    assert RegionSettings.load().region == "eu"


def test_world_needs_its_database_only() -> None:
    environ = {"FLEETLAKE_REGION": "world", "FLEETLAKE_POSTGRES_DSN": "postgresql://world@127.0.0.1/fleet_world"}
    assert WorldSettings.load(environ).region == "world"


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    undocumented = [name for name in RegionSettings.model_fields if f"FLEETLAKE_{name.upper()}" not in page]
    assert undocumented == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLEETLAKE_POSTGRES_DSN", "postgresql://us:s3cr3t@127.0.0.1/fleet_us"),
        ("FLEETLAKE_POSTGRES_DSN", "host=db user=us password=s3cr3t dbname=fleet_us"),
        ("FLEETLAKE_POSTGRES_DSN", "postgresql://world:s3cr3t@127.0.0.1/fleet_world"),
        ("FLEETLAKE_PRIVACY_DSN", "postgresql://us:s3cr3t@127.0.0.1/privacy_us"),
        ("FLEETLAKE_REDIS_URL", "redis://us:s3cr3t@127.0.0.1/0"),
        ("FLEETLAKE_LAKE_BUCKET", "lake-us"),
    ],
)
def test_a_process_does_not_start_with_another_regions_secret(name: str, value: str) -> None:
    with pytest.raises(
        BadSettings, match=rf"(?i){name} .* which is region (us|world)'s.*eu starts from its own"
    ) as caught:
        RegionSettings.load(ENVIRON | {name: value})
    assert "s3cr3t" not in str(caught.value)


def test_the_world_does_not_start_with_a_regions_secret() -> None:
    environ = {"FLEETLAKE_REGION": "world", "FLEETLAKE_POSTGRES_DSN": ENVIRON["FLEETLAKE_POSTGRES_DSN"]}
    with pytest.raises(BadSettings, match="region eu's"):
        WorldSettings.load(environ)


def test_on_glue_two_regions_of_one_account_have_databases_of_their_own() -> None:
    glue = {"FLEETLAKE_CATALOG": "glue"}
    assert RegionSettings.load(ENVIRON | glue).identifier("history.telemetry") == "history_eu.telemetry"
    assert RegionSettings.load(ENVIRON | glue).spark_table("history.trip") == "eu.history_eu.trip"
    assert RegionSettings.load(ENVIRON).spark_table("history.trip") == "eu.history.trip"
