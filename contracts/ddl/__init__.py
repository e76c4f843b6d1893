"""The Postgres schemas, as SQL that may run again: applied by `stack/` locally and by the deployment on RDS."""

from importlib.resources import files


def fleet() -> str:
    """Database fleet_R: registry, staging, marts, ops. Run as the region's role, with role bi_reader present, and with
    driver_reader where people read what drivers did.
    """
    return "".join(map(_read, ("fleet.sql", "access.sql", "serving.sql", "rights.sql", "use.sql")))


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
