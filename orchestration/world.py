"""World's code location: it reads the exchange and its own database, and no region's stores."""

from datetime import timedelta
from functools import partial

from dagster import DailyPartitionsDefinition, Definitions, in_process_executor

from assets.world import (
    STAGED,
    WorldWork,
    exchange_events,
    exchange_spec,
    marts_asset,
    release_is_agreed,
    releases_are_in_time,
    staging_asset,
)
from orchestration.alerts import alerts_sensor
from orchestration.due_work import day_ranges
from orchestration.partitions import world_partitions
from orchestration.resources import WORLD_RESOURCES
from orchestration.run_log import run_log_sensor
from orchestration.sensors import DueWork, SensorSpec, due_work_sensor, whoever_waits

WORK = "world/exchange"


def world_definitions() -> Definitions:
    """What world's code server serves. Opens no connection and reads no secret."""
    partitions = world_partitions()
    marts, agreed, in_time = marts_asset(partitions), release_is_agreed(), releases_are_in_time()
    spec = SensorSpec(
        WORK,
        [STAGED, *marts.keys],
        [*marts.check_keys, *agreed.check_keys, *in_time.check_keys],
        resource="work",
        every=timedelta(minutes=1),
        description="Loads the objects in the exchange that the world view lacks, and builds its marts.",
    )
    checks = [*marts.check_keys, *agreed.check_keys, *in_time.check_keys]
    oversight = [alerts_sensor("world", [WORK], checks), run_log_sensor("world", [WORK])]
    return Definitions(
        assets=[exchange_spec(partitions), staging_asset(partitions), marts],
        asset_checks=[agreed, in_time],
        sensors=[due_work_sensor(spec, whoever_waits(partial(to_load, partitions))), *oversight],
        resources=WORLD_RESOURCES,
        executor=in_process_executor,
    )


def to_load(partitions: DailyPartitionsDefinition, work: WorldWork) -> DueWork:
    """Days with something in the exchange that staging or the marts lack."""
    new = work.due_loads()
    return DueWork(day_ranges([*new, *work.due_marts()], partitions), exchange_events(new, partitions))
