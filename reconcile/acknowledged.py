"""R0: what the gateway's processes acknowledged is on the stream."""

from typing import Any

import msgspec
import psycopg

from reconcile.losses import Loss
from reconcile.model import Findings

PLACE = "gateway"


class FromGateway(msgspec.Struct, frozen=True, kw_only=True):
    """User records on the stream with the gateway's tag. whole: whether the stream still has all that were put."""

    records: int
    whole: bool


def read_acknowledged(postgres: "psycopg.Connection[Any]") -> int:
    """User records that the gateway's processes say they acknowledged; 0 in a database of an earlier version."""
    found = postgres.execute("select to_regclass('ops.acknowledged')").fetchone()
    if found is None or found[0] is None:
        return 0
    row = postgres.execute("select coalesce(sum(records), 0) from ops.acknowledged").fetchone()
    return int(row[0]) if row else 0


def check_acknowledged(acknowledged: int, found: FromGateway, findings: Findings) -> None:
    """Counts the stage `acknowledged`, which was read before the stream: what was acknowledged by then is there by now.

    Where the stream has trimmed, the tag of what is gone cannot be counted; then the whole stream has to be as many.
    """
    findings.count("acknowledged", acknowledged)
    stages = findings.stages
    everything = stages["stream"] + stages["backlog"] + stages["forgotten"]
    held = found.records if found.whole else everything
    missing = acknowledged - held - findings.accepted.records("acknowledged", PLACE)
    if missing <= 0:
        return
    findings.lost(
        "R0",
        f"the gateway acknowledged {acknowledged:,} user records, but the stream holds {held:,} of them; "
        "let the devices send that time again",
        Loss(kind="acknowledged", place=PLACE, records=missing),
    )
