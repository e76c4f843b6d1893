"""Asset keys, groups and owners: the names under which data engineers find everything in Dagster."""

from dagster import AssetKey

LANDING, HISTORY, DAYS, STAGING, MARTS, RELEASE = "landing", "history", "days", "staging", "marts", "release"
"""Stages, in the order in which data flows."""
RIGHTS = "rights"
"""What data subjects may ask for, and how long their data is kept."""

OWNERS = ["team:data-platform"]
MART_OWNERS = ["team:analytics"]
RELEASE_OWNERS = ["team:privacy"]

DUE_ONLY = "fleetlake/due_only"
"""Tag of a run that a sensor requested: of its partitions it does those that are still due when it starts."""

OPEN_HOURS = "fleetlake/open_hours"
"""Tag of a run that merges what arrived in hours that still grow, too."""

OLDER_DAYS = "fleetlake/days"
"""Tag of a run that a sensor requested for days of which some are before the first partition: all its days, such as
`2019-03-01 to 2019-03-04`."""


def group(region: str, stage: str) -> str:
    """The group of a region's stage; Dagster would draw groups of one name in several locations as one."""
    return f"{region}_{stage}"


def landing(region: str) -> AssetKey:
    """What the consumer put into S3."""
    return AssetKey([region, "landing"])


def history(region: str) -> AssetKey:
    """Every accepted record once."""
    return AssetKey([region, "history"])


def history_day(region: str) -> AssetKey:
    """History seen by business day: what a derivation reads."""
    return AssetKey([region, "history_day"])


def table_health(region: str) -> AssetKey:
    """How the Iceberg tables are kept."""
    return AssetKey([region, "table_health"])


def derived(region: str, table: str) -> AssetKey:
    """`trip` or `device_day` in Iceberg."""
    return AssetKey([region, table])


def staged(region: str, table: str) -> AssetKey:
    """The same in Postgres."""
    return AssetKey([region, "staging", table])


def mart(region: str, name: str) -> AssetKey:
    """A dbt model that BI reads."""
    return AssetKey([region, "marts", name])


def retention(region: str) -> AssetKey:
    """What is past its time is removed."""
    return AssetKey([region, "retention"])


def privacy_requests(region: str) -> AssetKey:
    """Requests of data subjects, counted."""
    return AssetKey([region, "privacy_requests"])


def release(region: str, name: str) -> AssetKey:
    """Aggregates that leave the region."""
    return AssetKey([region, "release", name])
