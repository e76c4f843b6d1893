"""The embedded services, one file each, behind one protocol."""

from stack.services.ministack import MiniStack
from stack.services.postgres import Postgres
from stack.services.seaweedfs import SeaweedFS
from stack.services.valkey import Valkey
from stack.site import Service, Site

__all__ = ["MiniStack", "Postgres", "SeaweedFS", "Service", "Site", "Valkey", "all_services"]


def all_services(site: Site) -> tuple[Service, ...]:
    """Every service of a stack, under the names that `status` shows."""
    return (SeaweedFS(site), MiniStack(site), Valkey(site), Postgres(site))
