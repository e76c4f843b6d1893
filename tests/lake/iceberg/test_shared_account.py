"""Two regions in one AWS account and AWS region share Glue: their tables are apart, and a foreign one is refused."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from moto import mock_aws

from contracts.derived import DEVICE_DAY_SCHEMA
from contracts.errors import ForeignTable
from contracts.names import DEVICE_DAY_TABLE, HISTORY_TABLE
from contracts.record import LANDING_SCHEMA
from contracts.settings import RegionSettings
from lake.iceberg.catalog import catalog, load_own
from lake.iceberg.tables import ensure_tables, iceberg_schema, own_tables, schema_differences, table
from tests.builders.marts import device_day

REGION = """
[{name}]
aws_region = "eu-central-1"
time_zone = "Europe/Zurich"
legal_regime = "one of two in Frankfurt"
retention_days = 30
stream_shards = 1
history_buckets = 1
"""


@pytest.fixture
def regions(stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, RegionSettings]]:
    """`eu` and `us`, both in Frankfurt: one Glue for both (moto's), and the stack's S3, which tells them apart."""
    file = tmp_path / "regions.toml"
    file.write_text("".join(REGION.format(name=name) for name in ("eu", "us")))
    environments = {name: stack.environment(name) for name in ("eu", "us")}
    monkeypatch.setenv("FLEETLAKE_REGIONS_FILE", str(file))
    warehouse = {"FLEETLAKE_CATALOG": "glue"}
    made = {name: RegionSettings.load(own | warehouse) for name, own in environments.items()}
    with mock_aws():
        for one in made.values():
            ensure_tables(one)
        yield made


def test_what_one_writes_the_other_does_not_have(regions):
    rows = pa.Table.from_pylist([device_day("of-us", date(2026, 3, 2))], schema=DEVICE_DAY_SCHEMA)
    table(regions["us"], DEVICE_DAY_TABLE).append(rows)
    frames = {name: load_own(one, DEVICE_DAY_TABLE).scan().to_arrow() for name, one in regions.items()}
    assert {name: rows["device_id"].to_pylist() for name, rows in frames.items()} == {"eu": [], "us": ["of-us"]}
    assert {name for (name,) in catalog(regions["eu"]).list_namespaces()} == {"history_eu", "history_us"}
    for one in regions.values():
        assert len(own_tables(one)) == 6
        assert schema_differences(one) == []


def test_a_table_in_another_regions_bucket_is_refused_before_anything_is_read(regions):
    """As it was where one database `history` stood for both."""
    us, eu = regions["us"], regions["eu"]
    tables, name = catalog(us), us.identifier(HISTORY_TABLE)
    tables.drop_table(name)
    tables.create_table(
        name,
        iceberg_schema(LANDING_SCHEMA),
        "s3://lake-eu/warehouse/history/telemetry",
        properties={"write.metadata.path": "s3://lake-us/warehouse/foreign/metadata"},
    )
    for refused in (own_tables, ensure_tables, schema_differences, lambda one: table(one, HISTORY_TABLE)):
        with pytest.raises(ForeignTable, match=r"s3://lake-eu/.* not in bucket lake-us; nothing is read or written"):
            refused(us)
    assert table(eu, HISTORY_TABLE).location() == "s3://lake-eu/warehouse/history/telemetry"
