"""Redis users and their permissions."""

import hashlib
from collections.abc import Mapping

from contracts.regions import Region
from stack.credentials import Secrets

ADMIN = "admin"
_RULES = (
    "+@read +@write +@connection +@transaction "
    "-@dangerous -@admin -@blocking "
    "+publish +subscribe +unsubscribe "
    "+eval +evalsha +eval_ro +evalsha_ro +script|load +script|exists +info +memory|usage +bgrewriteaof "
    "-scan -randomkey -dbsize -keys -swapdb -flushdb -flushall"
)
"""No administration, and no command that walks the key space: key patterns do not filter what SCAN, KEYS and RANDOMKEY
return, so a region would read the device ids of all others. FUNCTION is left out because libraries are shared.
BGREWRITEAOF is let in: an erasure leaves ids in the append-only file until that is written anew."""


def acl_lines(secrets: Secrets, regions: Mapping[str, Region]) -> list[str]:
    """The ACL file: a user a region limited to its keys and channels, an admin, and no default user.

    Passwords are stored as SHA-256.
    """
    own = [
        f"user {name} on #{_hash(secrets.regions[name].redis)} resetkeys ~{name}:* resetchannels &{name}:* {_RULES}"
        for name in sorted(regions)
    ]
    return ["user default off", f"user {ADMIN} on #{_hash(secrets.redis_admin)} ~* &* +@all", *own]


def _hash(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
