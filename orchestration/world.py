"""World's code location: it reads the exchange and its own database, and no region's stores."""

from datetime import date, timedelta

from dagster import Definitions, in_process_executor

from assets.partitions import WORLD_DAYS, day_key, existing
from assets.world import (
    STAGED,
    WorldWork,
    exchange_events,
    exchange_spec,
    marts_asset,
    release_is_agreed,
    staging_asset,
)
from orchestration.partition_ranges import JOIN_DAYS, range_tags, spans
from orchestration.resources import WORLD_RESOURCES
from orchestration.sensors import DueWork, SensorSpec, due_work_sensor

WORK = "world/exchange"


def world_definitions() -> Definitions:
    """What world's code server serves. Opens no connection and reads no secret."""
    marts, agreed = marts_asset(), release_is_agreed()
    level = SensorSpec(
        WORK,
        [STAGED, *marts.keys],
        [*marts.check_keys, *agreed.check_keys],
        every=timedelta(minutes=1),
        description="Objects in the exchange that the world view lacks.",
    )
    return Definitions(
        assets=[exchange_spec(), staging_asset(), marts],
        asset_checks=[agreed],
        sensors=[due_work_sensor(level, to_load)],
        resources=WORLD_RESOURCES,
        executor=in_process_executor,
    )


def to_load(work: WorldWork) -> DueWork:
    """Days with something in the exchange that staging or the marts lack."""
    fresh: list[date] = existing(work.due_loads(), WORLD_DAYS)
    days = existing([*fresh, *work.due_marts()], WORLD_DAYS)
    return DueWork([range_tags(span, day_key) for span in spans(days, JOIN_DAYS)], exchange_events(fresh))
