"""Everything that one region has in Dagster, and the selections that its runs use."""

from collections.abc import Sequence

import msgspec
from dagster import AssetCheckKey, AssetChecksDefinition, AssetKey, AssetsDefinition, AssetSpec

from assets import keys
from assets.checks import quality_checks, region_checks
from assets.days import TABLES, days_assets
from assets.history import history_asset, history_day_asset
from assets.landing import landing_spec
from assets.maintenance import table_health_asset
from assets.marts import marts_assets
from assets.partitions import RegionPartitions
from assets.release import utilisation_day_asset
from assets.rights import requests_asset, retention_asset, rights_checks
from assets.staging import staging_assets
from contracts.regions import Region


class RegionAssets(msgspec.Struct, frozen=True):
    """A region's assets and checks, and what each kind of run takes of them."""

    assets: Sequence[AssetsDefinition | AssetSpec]
    checks: Sequence[AssetChecksDefinition]
    merge: Sequence[AssetKey]
    derive: Sequence[AssetKey]
    load: Sequence[AssetKey]
    publish: Sequence[AssetKey]
    maintain: Sequence[AssetKey]
    rights: Sequence[AssetKey]
    """Retention and the desk, once a night."""
    quick: Sequence[AssetCheckKey]
    """Checks that run with their assets: the cheap ones and dbt's tests."""
    slow: Sequence[AssetCheckKey]
    """Checks that a schedule runs."""
    of_rights: Sequence[AssetCheckKey]
    """Checks that run with retention and the desk."""

    def quick_on(self, selected: Sequence[AssetKey]) -> list[AssetCheckKey]:
        """The quick checks on these assets."""
        return [check for check in self.quick if check.asset_key in set(selected)]


def region_assets(region: Region, partitions: RegionPartitions) -> RegionAssets:
    """All assets of a region. Raises DbtFailed where dbt's manifest has to be made and cannot be."""
    marts = marts_assets(region, partitions.days)
    release = utilisation_day_asset(region, partitions.days)
    quick, slow, rights = region_checks(region), quality_checks(region), rights_checks(region)
    staged = [keys.staged(region.name, table) for table in TABLES]
    load = [*staged, *marts.keys]
    return RegionAssets(
        assets=[
            landing_spec(region, partitions.hours),
            history_asset(region, partitions.hours),
            history_day_asset(region, partitions.days),
            days_assets(region, partitions.days),
            table_health_asset(region),
            staging_assets(region, partitions.days),
            marts,
            release,
            retention_asset(region),
            requests_asset(region),
        ],
        checks=[*quick, *slow, *rights],
        merge=[keys.history(region.name)],
        derive=[keys.history_day(region.name), *(keys.derived(region.name, table) for table in TABLES), *load],
        load=load,
        publish=list(release.keys),
        maintain=[keys.table_health(region.name)],
        rights=[keys.retention(region.name), keys.privacy_requests(region.name)],
        quick=[*(key for check in quick for key in check.check_keys), *marts.check_keys],
        slow=[key for check in slow for key in check.check_keys],
        of_rights=[key for check in rights for key in check.check_keys],
    )
