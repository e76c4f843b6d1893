"""Reads the metrics of regions, or of world, from the files beside this one."""

from functools import cache
from pathlib import Path

import msgspec

from contracts.errors import BadSettings
from contracts.regions import WORLD
from marts.metrics.metric import UNITS, Metric

_HERE = Path(__file__).parent


class _File(msgspec.Struct, forbid_unknown_fields=True):
    metric: list[Metric]


@cache
def metrics_of(region: str) -> tuple[Metric, ...]:
    """The metrics over the marts of a region (or of `world`), in the order of their file.

    Raises BadSettings where the file cannot be read, a name occurs twice or a unit is not of UNITS.
    """
    return read_metrics(_HERE / ("world.toml" if region == WORLD else "region.toml"))


def read_metrics(path: Path) -> tuple[Metric, ...]:
    """The metrics of one file. Raises BadSettings."""
    try:
        metrics = msgspec.toml.decode(path.read_bytes(), type=_File).metric
    except (OSError, msgspec.DecodeError) as error:
        raise BadSettings(f"{path}: {error}") from None
    seen: set[str] = set()
    for metric in metrics:
        if metric.name in seen:
            raise BadSettings(f"{path}: metric {metric.name} is defined twice; leave one")
        if metric.unit not in UNITS:
            raise BadSettings(f"{path}: metric {metric.name} has unit {metric.unit!r}; units are {', '.join(UNITS)}")
        seen.add(metric.name)
    return tuple(metrics)
