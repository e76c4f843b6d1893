"""Every setting of contracts.settings is given to every process of a region, or left out for a written reason."""

import pytest

from contracts.regions import load_regions
from contracts.settings import RegionSettings, WorldSettings
from deploy.deployment import load_deployment
from deploy.environment import (
    FILES,
    LEFT_OUT,
    SECRETS,
    emr_variables,
    redis_url,
    region_environment,
    variables,
    world_environment,
)

EU = load_regions()["eu"]


@pytest.fixture
def given() -> dict[str, str]:
    jobs = emr_variables("eu", "00f1", "arn:aws:iam::1:role/job", "lake", "1")
    return region_environment(load_deployment(), EU, jobs) | {"FLEETLAKE_REDIS_URL": redis_url("eu", "cache")}


def test_every_setting_is_given_or_left_out_for_a_reason(given: dict[str, str]) -> None:
    known = {name for name, _ in variables(RegionSettings)}
    assert known - set(given) - set(SECRETS) - set(FILES) - set(LEFT_OUT) == set()
    assert set(given) & set(LEFT_OUT) == set()


def test_nothing_is_named_that_is_no_setting() -> None:
    known = {name for name, _ in variables(RegionSettings)}
    assert (set(SECRETS) | set(FILES) | set(LEFT_OUT)) - known == set()
    assert all(reason for reason in LEFT_OUT.values())


def test_the_settings_load_with_what_a_task_is_given(given: dict[str, str]) -> None:
    secrets = dict.fromkeys(SECRETS, "postgresql://eu@db/fleet_eu")
    settings = RegionSettings.load(given | secrets)
    assert settings.catalog == "glue"
    assert settings.spark == "emr-serverless"
    assert settings.bucket == "fleetlake-lake-eu-100000000001"
    assert settings.flush_rows == RegionSettings.model_fields["flush_rows"].default
    assert settings.kinesis.client_kwargs("eu-central-1") == {"region_name": "eu-central-1"}


def test_no_secret_is_given_by_value(given: dict[str, str]) -> None:
    assert set(SECRETS) & set(given) == set()
    assert "@" in given["FLEETLAKE_REDIS_URL"]
    assert ":" not in given["FLEETLAKE_REDIS_URL"].removeprefix("rediss://").partition("@")[0]


def test_aws_is_told_the_same_region_as_fleetlake(given: dict[str, str]) -> None:
    assert given["AWS_REGION"] == given["AWS_DEFAULT_REGION"] == EU.aws_region


def test_the_world_has_its_settings() -> None:
    found = world_environment(load_deployment()) | {"FLEETLAKE_POSTGRES_DSN": "postgresql://world@db/fleet_world"}
    settings = WorldSettings.load(found)
    assert settings.exchange_bucket == load_deployment().exchange_bucket
    assert settings.aws_region == found["AWS_REGION"]
