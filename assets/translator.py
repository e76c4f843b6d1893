"""How dbt's resources are called in Dagster: models by layer, sources by the schema that they are read from."""

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import AssetCheckSpec, AssetKey, AssetSpec, DailyPartitionsDefinition, PartitionsDefinition
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject

from assets import keys
from assets.dbt_checks import description_of


class RegionTranslator(DagsterDbtTranslator):
    """Keys `R/marts/x`, `R/staging/x`; models with a day column are partitioned by business day, the others are not."""

    def __init__(self, region: str, days: DailyPartitionsDefinition) -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True))
        self._region = region
        self._days = days

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> AssetKey:
        """`R/LAYER/NAME`, where the layer is the model's folder or the source's schema."""
        return AssetKey([self._region, _layer(dbt_resource_props), dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """The region and the layer."""
        return keys.group(self._region, _layer(dbt_resource_props))

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str] | None:
        """Marts belong to analytics."""
        return keys.MART_OWNERS

    def get_asset_check_spec(
        self, asset_spec: AssetSpec, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None
    ) -> AssetCheckSpec | None:
        """A dbt test as a check that says what it checks."""
        spec = super().get_asset_check_spec(asset_spec, manifest, unique_id, project)
        return spec._replace(description=description_of(manifest, unique_id)) if spec else None

    def get_partitions_def(self, dbt_resource_props: Mapping[str, Any]) -> PartitionsDefinition | None:
        """Business days, where the model says which of its columns is the day."""
        return self._days if day_column(dbt_resource_props) else None


def day_column(dbt_resource_props: Mapping[str, Any]) -> str | None:
    """The column that holds a model's business day, from its `meta.day_column`."""
    config = dbt_resource_props.get("config") or {}
    meta = {**(dbt_resource_props.get("meta") or {}), **(config.get("meta") or {})}
    column = meta.get("day_column")
    return str(column) if column else None


def _layer(dbt_resource_props: Mapping[str, Any]) -> str:
    if dbt_resource_props["resource_type"] == "source":
        return str(dbt_resource_props["source_name"])
    return str(dbt_resource_props["fqn"][-2])
