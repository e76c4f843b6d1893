"""What a region's user of Redis may do: the same rules here and on ElastiCache."""

RULES = (
    "+@read +@write +@connection +@transaction "
    "-@dangerous -@admin -@blocking "
    "+publish +subscribe +unsubscribe "
    "+eval +evalsha +eval_ro +evalsha_ro +script|load +script|exists +info +memory|usage +bgrewriteaof "
    "-scan -randomkey -dbsize -keys -swapdb -flushdb -flushall"
)
"""No administration, and no command that walks the key space: key patterns do not filter what SCAN, KEYS and RANDOMKEY
return, so a region would read the device ids of all others. FUNCTION is left out because libraries are shared.
BGREWRITEAOF is let in: an erasure leaves ids in the append-only file until that is written anew."""


def access_string(region: str) -> str:
    """Keys and channels of the region, and the commands that its processes use."""
    return f"resetkeys ~{region}:* resetchannels &{region}:* {RULES}"
