"""The Postgres schemas, as SQL that may run again: applied by `stack/` locally and by the deployment on RDS."""

from importlib.resources import files


def fleet() -> str:
    """Database fleet_R: registry, staging, marts, ops. Run as the region's role, with role bi_reader present."""
    return _read("fleet.sql") + _read("access.sql") + _read("serving.sql") + _read("rights.sql")


def privacy() -> str:
    """Database privacy_R: contributors of releases, requests, suppression list. Run as the region's role."""
    return _read("privacy.sql")


def world() -> str:
    """Database fleet_world: staging, marts, customers, ops. Run as role world, with role bi_reader present, and with
    customer_reader where customers read.
    """
    return _read("world.sql")


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
