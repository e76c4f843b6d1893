"""Jobs on a Spark cluster that has nothing of the project but its package: the same rows, whatever dies."""

from collections.abc import Iterator
from typing import Any

import pytest

from contracts.names import DEVICE_DAY_TABLE, EPISODE_TABLE, FAULT_DAY_TABLE, HISTORY_TABLE, TRIP_TABLE
from contracts.settings import RegionSettings
from lake.iceberg.catalog import catalog
from lake.job_environment import job_environment
from lake.jobs import DeriveDays, Job, MergeLanding
from lake.merge.intake import intake
from lake.package.build import build
from lake.run import run
from tests.builders.expiring_s3 import expiring_s3
from tests.builders.lake import NOON, Landing, drive, empty_lake, fetch
from tests.builders.secrets_server import secrets_client, secrets_server
from tests.builders.spark_cluster import SparkCluster, spark_cluster
from tests.builders.stack import eventually, state_parent

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
MERGE, DERIVE = MergeLanding("us", [NOON]), DeriveDays("us", [NOON.date()], again=True)
ROWS = [row for device in "abc" for row in drive(device, NOON, 300)]
TABLES = (HISTORY_TABLE, TRIP_TABLE, EPISODE_TABLE, FAULT_DAY_TABLE, DEVICE_DAY_TABLE)
Rows = dict[str, list[str]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[SparkCluster]:
    with state_parent() as folder:
        build(folder / "package")
        with spark_cluster(folder, folder / "package") as started:
            yield started


@pytest.fixture(scope="module")
def secrets(stack, tmp_path_factory) -> Iterator[dict[str, str]]:
    """How a job finds its database: the name of a secret."""
    with secrets_server(tmp_path_factory.mktemp("secrets")) as service:
        dsn = stack.environment("us")["FLEETLAKE_POSTGRES_DSN"]
        secrets_client(service, "us-east-2").create_secret(Name="fleet-us", SecretString=dsn)
        yield {
            "FLEETLAKE_SECRETS_ENDPOINT": str(service.endpoint),
            "FLEETLAKE_SECRETS_ACCESS_KEY": "test-access-key",
            "FLEETLAKE_SECRETS_SECRET_KEY": "test-secret-key",
        }


@pytest.fixture
def environment(stack, secrets) -> Any:
    """What a job is given: as on EMR, and the keys that a role would bring there."""
    region = stack.environment("us")
    named = {name: value for name, value in region.items() if name != "FLEETLAKE_POSTGRES_DSN"}
    emr = dict.fromkeys(("APPLICATION", "ROLE", "ENTRY_POINT"), "x") | {"POSTGRES_SECRET": "fleet-us"}
    launcher = region | {f"FLEETLAKE_EMR_{name}": value for name, value in emr.items()}
    settings = RegionSettings.load(launcher | {"FLEETLAKE_SPARK": "emr-serverless"})
    role = {name: value for name, value in named.items() if name.startswith(("FLEETLAKE_S3_", "FLEETLAKE_DYNAMODB_"))}
    return lambda job, **more: job_environment(settings, job) | role | secrets | more


@pytest.fixture
def landed(landing) -> Landing:
    landing.land(ROWS)
    intake(landing.settings)
    return landing


def stored(settings: RegionSettings) -> Rows:
    """Every row of every table, as text, in order."""
    return {name: sorted(map(str, catalog(settings).load_table(name).scan().to_arrow().to_pylist())) for name in TABLES}


@pytest.fixture(scope="module")
def expected(spark, stack) -> Rows:
    """The rows that this process makes."""
    settings = stack.settings("us")
    empty_lake(settings)
    Landing(settings).land(ROWS)
    for job in (MERGE, DERIVE):
        run(spark, settings, job)
    rows = stored(settings)
    empty_lake(settings)
    assert len(rows[HISTORY_TABLE]) == len(ROWS)
    assert len(rows[TRIP_TABLE]) == len(rows[DEVICE_DAY_TABLE]) == 3
    return rows


def done(cluster: SparkCluster, job: Job, environment: dict[str, str]) -> str:
    """What a job printed that ended well."""
    submission = cluster.submit(job, environment)
    assert submission.wait() == 0, submission.log[-4000:]
    return submission.log


def test_a_merge_and_a_derivation_give_the_rows_of_this_process(cluster, landed, environment, expected):
    done(cluster, MERGE, environment(MERGE))
    done(cluster, DERIVE, environment(DERIVE))
    assert stored(landed.settings) == expected


def test_expired_keys_end_the_job_and_new_ones_end_it_right(cluster, landed, environment, expected):
    real = str(landed.settings.s3.endpoint)
    looks: list[str] = []

    def third_look(method: str, path: str) -> bool:
        """The first reads the footer, the others are the executors'."""
        looks.extend([path] if method == "GET" and "/landing/" in path else [])
        return len(looks) > 2

    with expiring_s3(real, third_look) as door:
        merge = cluster.submit(MERGE, environment(MERGE, FLEETLAKE_S3_ENDPOINT=door.endpoint))
        assert merge.wait() == 1, merge.log[-4000:]
        assert door.refused
    assert "CredentialsExpired: MergeLanding: the keys of region us expired" in merge.log
    assert fetch(landed.settings, "select count(*) from ops.set_aside") == [(0,)]
    done(cluster, MERGE, environment(MERGE))
    assert stored(landed.settings)[HISTORY_TABLE] == expected[HISTORY_TABLE]


def test_a_killed_executor_is_replaced_and_the_job_ends_right(cluster, landed, environment, expected):
    merge = cluster.submit(MERGE, environment(MERGE))
    eventually(cluster.executors, within_s=120)
    cluster.executors()[0].kill()
    assert merge.wait() == 0, merge.log[-4000:]
    assert stored(landed.settings)[HISTORY_TABLE] == expected[HISTORY_TABLE]


def test_a_killed_driver_is_followed_by_a_run_that_ends_right(cluster, landed, environment, expected):
    first = cluster.submit(MERGE, environment(MERGE))
    eventually(cluster.executors, within_s=120)
    first.kill()
    eventually(lambda: not cluster.executors(), within_s=120)
    done(cluster, MERGE, environment(MERGE))
    assert stored(landed.settings)[HISTORY_TABLE] == expected[HISTORY_TABLE]
