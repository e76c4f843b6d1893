"""A job on a cluster gets the settings that it reads, the names of its secrets, and nothing else."""

import pytest

from contracts.errors import BadSettings, Misuse
from contracts.settings import LakeSettings, RegionSettings
from lake.job_environment import NEEDED, job_environment, job_settings
from lake.jobs import DeriveDays, Expire, Job, Maintain, MergeLanding
from lake.merge.intake import intake
from lake.run import run
from tests.builders.lake import NOON, drive
from tests.builders.secrets_server import secrets_client, secrets_server

JOBS: list[Job] = [
    MergeLanding("us", [NOON]),
    DeriveDays("us", [NOON.date()]),
    Maintain("us"),
    Expire("us", NOON.date()),
]
SECRET = "arn:aws:secretsmanager:us-east-2:1:secret:fleet-us"
EMR = {
    "FLEETLAKE_SPARK": "emr-serverless",
    "FLEETLAKE_EMR_APPLICATION": "app",
    "FLEETLAKE_EMR_ROLE": "role",
    "FLEETLAKE_EMR_ENTRY_POINT": "s3://lake-us/code/1/main.py",
    "FLEETLAKE_EMR_POSTGRES_SECRET": SECRET,
}
EVERY = {
    "FLEETLAKE_REGION": "us",
    "FLEETLAKE_KINESIS_ENDPOINT": "http://k",
    "FLEETLAKE_KINESIS_ACCESS_KEY": "AKIA-kinesis",
    "FLEETLAKE_KINESIS_SECRET_KEY": "s3cr3t-kinesis",
    "FLEETLAKE_DYNAMODB_ENDPOINT": "http://d",
    "FLEETLAKE_DYNAMODB_ACCESS_KEY": "AKIA-dynamodb",
    "FLEETLAKE_DYNAMODB_SECRET_KEY": "s3cr3t-dynamodb",
    "FLEETLAKE_S3_ENDPOINT": "http://s",
    "FLEETLAKE_S3_ACCESS_KEY": "AKIA-s3",
    "FLEETLAKE_S3_SECRET_KEY": "s3cr3t-s3",
    "FLEETLAKE_S3_SESSION_TOKEN": "s3cr3t-token",
    "FLEETLAKE_REDIS_URL": "redis://us:s3cr3t-redis@h/0",
    "FLEETLAKE_POSTGRES_DSN": "postgresql://us:s3cr3t-pg@h/fleet_us",
    "FLEETLAKE_PRIVACY_DSN": "postgresql://us:s3cr3t-privacy@h/privacy_us",
    "FLEETLAKE_RELEASE_KEY": "s3cr3t-key",
}
"""All that is secret, and where it is used."""
ALWAYS = {
    "FLEETLAKE_REGION": "us",
    "FLEETLAKE_SPARK": "emr-serverless",
    "FLEETLAKE_POSTGRES_SECRET": SECRET,
    "FLEETLAKE_S3_ENDPOINT": "http://s",
}
TUNED = {
    "FLEETLAKE_CATALOG": "glue",
    "FLEETLAKE_LAKE_BUCKET": "acme",
    "FLEETLAKE_STRAGGLER_SHARE": "0.1",
    "FLEETLAKE_STRAGGLER_WAIT_H": "2.0",
    "FLEETLAKE_SNAPSHOT_KEEP_H": "24.0",
    "FLEETLAKE_TRIP_STOP_S": "200",
    "FLEETLAKE_TRIP_GAP_S": "1000",
    "FLEETLAKE_MOVING_KMH": "4.0",
    "FLEETLAKE_TRIP_LEAST_M": "100.0",
    "FLEETLAKE_TRIP_LEAST_S": "100.0",
    "FLEETLAKE_PACK_FROM_ROWS": "5000",
    "FLEETLAKE_LANDING_KEEP_DAYS": "60",
    "FLEETLAKE_LIVE_UNSEEN_DAYS": "20",
}
"""Settings of the lake other than their defaults."""


def values(settings: type[RegionSettings]) -> dict[str, str]:
    """A value for every setting there is, those that will be added too."""
    given = EVERY | EMR | TUNED
    for name, field in settings.model_fields.items():
        variable = f"FLEETLAKE_{name.upper()}"
        if not any(known.startswith(variable) for known in given) and not field.is_required():
            default = field.get_default(call_default_factory=True)
            if isinstance(default, bool | int | float | str) and default != "":
                given[variable] = str(default)
    return given


@pytest.mark.parametrize("job", JOBS, ids=lambda job: type(job).__name__)
def test_a_job_gets_what_it_needs_and_no_other_setting(job: Job) -> None:
    given = job_environment(RegionSettings.load(values(RegionSettings)), job)
    rules = {name for name in TUNED if "TRIP" in name or "MOVING" in name}
    of_this_job = {
        MergeLanding: {"FLEETLAKE_STRAGGLER_SHARE", "FLEETLAKE_STRAGGLER_WAIT_H"},
        DeriveDays: rules | {"FLEETLAKE_PACK_FROM_ROWS"},
        Maintain: rules | {name for name in TUNED if "KEEP" in name or "UNSEEN" in name},
        Expire: rules,
    }[type(job)] | {"FLEETLAKE_CATALOG", "FLEETLAKE_LAKE_BUCKET"}
    expected = ALWAYS | {name: TUNED[name] for name in of_this_job}
    if isinstance(job, MergeLanding | Maintain):  # both follow the ledger
        expected["FLEETLAKE_DYNAMODB_ENDPOINT"] = "http://d"
    assert given == expected


@pytest.mark.parametrize("job", JOBS, ids=lambda job: type(job).__name__)
def test_a_job_is_given_no_secret(job: Job) -> None:
    given = str(job_environment(RegionSettings.load(values(RegionSettings)), job))
    assert "s3cr3t" not in given
    assert "AKIA" not in given


def test_what_a_job_can_be_given_has_no_stream_no_redis_and_no_key_of_releases() -> None:
    assert not {"kinesis", "redis_url", "privacy_dsn", "release_key", "emr"} & set(LakeSettings.model_fields)


def test_on_aws_a_job_needs_four_variables() -> None:
    plain = {name: value for name, value in EVERY.items() if not name.endswith(("ENDPOINT", "_KEY", "TOKEN"))}
    settings = RegionSettings.load(plain | EMR | {"FLEETLAKE_RELEASE_KEY": "k", "FLEETLAKE_CATALOG": "glue"})
    assert job_environment(settings, JOBS[1]) == {
        "FLEETLAKE_REGION": "us",
        "FLEETLAKE_SPARK": "emr-serverless",
        "FLEETLAKE_CATALOG": "glue",
        "FLEETLAKE_POSTGRES_SECRET": SECRET,
    }


class Watched(LakeSettings):
    """Settings that say which of them were read."""

    def __getattribute__(self, name: str) -> object:
        """The setting, noted."""
        if name in LakeSettings.model_fields:
            READ.add(name)
        return super().__getattribute__(name)


READ: set[str] = set()


def test_jobs_read_no_setting_that_they_are_not_given(spark, landing, stack) -> None:
    """What a job reads and is not given would be the default there, whatever the region's setting is."""
    landing.land(drive("a", NOON, 30))
    intake(landing.settings)
    watched = Watched.load(stack.environment("us"))
    of_this_machine = {"spark", "spark_memory", "state", "postgres_dsn"}
    for job in (
        MergeLanding("us", [NOON], stragglers=True),
        DeriveDays("us", [NOON.date()], again=True),
        Maintain("us"),
        Expire("us", NOON.date()),
    ):
        READ.clear()
        run(spark, watched, job)
        assert READ - of_this_machine <= set(NEEDED[type(job)]), type(job).__name__
        assert {"region", "s3"} <= READ


def test_a_secret_is_fetched_by_its_name(tmp_path) -> None:
    with secrets_server(tmp_path) as service:
        dsn = EVERY["FLEETLAKE_POSTGRES_DSN"]
        secrets_client(service, "us-east-2").create_secret(Name="fleet-us", SecretString=dsn)
        given = {
            "FLEETLAKE_REGION": "us",
            "FLEETLAKE_POSTGRES_SECRET": "fleet-us",
            "FLEETLAKE_SECRETS_ENDPOINT": str(service.endpoint),
            "FLEETLAKE_SECRETS_ACCESS_KEY": "test-access-key",
            "FLEETLAKE_SECRETS_SECRET_KEY": "test-secret-key",
        }
        assert job_settings(given).postgres_dsn.get_secret_value() == dsn
        with pytest.raises(Misuse, match=r"does not give FLEETLAKE_POSTGRES_SECRET \(no-such\): ResourceNotFound"):
            job_settings(given | {"FLEETLAKE_POSTGRES_SECRET": "no-such"})


def test_a_job_without_its_database_says_so() -> None:
    with pytest.raises(BadSettings, match="FLEETLAKE_POSTGRES_DSN"):
        job_settings({"FLEETLAKE_REGION": "us"})
