"""A region is added beside one of the same AWS account and region: neither opens anything of the other."""

import json
from fnmatch import fnmatchcase

import stack
from contracts import names
from contracts.policies import region_policy
from contracts.regions import load_regions
from stack.residency import attempts
from tests.builders.stack import TWO_REGIONS, stack_folder

FRANKFURT = TWO_REGIONS.partition("[us]")[0]
BESIDE = FRANKFURT.replace("[eu]", "[ch]").replace("Berlin", "Zurich")
ACCOUNT = "123456789012"


def test_a_region_added_in_the_same_aws_region_is_apart_from_the_other():
    with stack_folder() as (state, regions):
        regions.write_text(FRANKFURT)
        stack.up(state, regions)
        alone = attempts(state)
        assert {one.of for one in alone if one.outcome == "refused"} >= {"world", "dagster"}
        regions.write_text(FRANKFURT + BESIDE)
        stack.up(state, regions)
        found = attempts(state)
        assert [one for one in found if not one.as_it_should] == []
        pairs = {(one.identity, one.of, one.store) for one in found if one.outcome == "refused"}
        for store in ("kinesis", "dynamodb", "s3", "redis", "postgres"):
            assert {("eu", "ch", store), ("ch", "eu", store)} <= pairs


def test_no_resource_of_the_ones_policy_is_the_others(tmp_path):
    file = tmp_path / "regions.toml"
    file.write_text(FRANKFURT + BESIDE)
    regions = load_regions(file)
    assert {region.aws_region for region in regions.values()} == {"eu-central-1"}
    for own, other in (("eu", "ch"), ("ch", "eu")):
        statements = json.loads(region_policy(regions[own], account=ACCOUNT))["Statement"]
        allowed = [pattern for one in statements if "Condition" not in one for pattern in one["Resource"]]
        arn = f"arn:aws:{{}}:eu-central-1:{ACCOUNT}:{{}}"
        tables = [names.leases_table(other), names.ledger_table(other), f"{names.leases_table(other)}-app"]
        asked = [arn.format("dynamodb", f"table/{table}") for table in tables]
        asked += [arn.format("kinesis", f"stream/{names.stream(other)}{tail}") for tail in ("", "/consumer/x:1")]
        assert not [one for one in asked for pattern in allowed if fnmatchcase(one, pattern)]
        mine = arn.format("kinesis", f"stream/{names.stream(own)}")
        assert any(fnmatchcase(mine, pattern) for pattern in allowed)
