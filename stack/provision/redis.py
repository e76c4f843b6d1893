"""Redis users and their permissions."""

import hashlib
from collections.abc import Mapping

from contracts.policies.redis_rules import access_string
from contracts.regions import Region
from stack.credentials import Secrets

ADMIN = "admin"


def acl_lines(secrets: Secrets, regions: Mapping[str, Region]) -> list[str]:
    """The ACL file: a user a region limited to its keys and channels, an admin, and no default user.

    Passwords are stored as SHA-256.
    """
    own = [f"user {name} on #{_hash(secrets.regions[name].redis)} {access_string(name)}" for name in sorted(regions)]
    return ["user default off", f"user {ADMIN} on #{_hash(secrets.redis_admin)} ~* &* +@all", *own]


def _hash(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
