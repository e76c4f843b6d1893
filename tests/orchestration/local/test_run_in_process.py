"""A run of `fleetlake process` is recorded with its target and its code location, as a run of the daemon is."""

import pytest
from dagster import AssetKey
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster_graphql.test.utils import execute_dagster_graphql

from orchestration.local.process import process

TARGETS = """
{ runsOrError(filter: {tags: [{key: ".dagster/repository", value: "__repository__@eu"}]}) { ... on Runs { results {
    jobName assetSelection { path } repositoryOrigin { repositoryName repositoryLocationName } } } } }
"""
"""What the Runs page shows as a run's target; the Timeline looks runs up by the repository's label."""
EMPTY_LOCATION = """
from dagster import Definitions
defs = Definitions()
"""


@pytest.fixture
def done(repository, instance):
    done = process("eu", repository, instance, lambda _: None)
    assert done.ok
    return done


def test_a_run_has_its_assets_its_checks_and_the_origin_of_its_job(done, instance):
    (run,) = (instance.get_run_by_id(run.run_id) for run in done.runs if run.work == "eu/landing")

    assert run.asset_selection == {AssetKey(["eu", "history"])}
    assert run.job_name == "__ASSET_JOB"
    assert run.remote_job_origin.location_name == "eu"
    assert run.remote_job_origin.repository_origin.repository_name == "__repository__"
    assert run.tags["dagster/sensor_name"] == "eu_landing"
    assert run.tags["dagster/asset_partition_range_start"] == "2026-03-04-05:00"


def test_the_web_server_finds_the_runs_by_their_code_location_with_their_targets(done, instance, tmp_path):
    (tmp_path / "elsewhere.py").write_text(EMPTY_LOCATION)
    origin = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(python_file=str(tmp_path / "elsewhere.py")), location_name="eu"
    )
    with WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as workspace:
        answer = execute_dagster_graphql(workspace.create_request_context(), TARGETS)

    found = answer.data["runsOrError"]["results"]
    assert {tuple(key["path"]) for run in found for key in run["assetSelection"]} >= {("eu", "history"), ("eu", "trip")}
    assert len(found) == len(done.runs)
    assert {run["repositoryOrigin"]["repositoryLocationName"] for run in found} == {"eu"}
