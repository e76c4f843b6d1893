"""What the gateway acknowledged is on the stream, or reconciliation says how much is not."""

import psycopg
import pytest

from contracts.kpl import aggregate
from contracts.names import GATEWAY_TAG
from reconcile.acknowledged import FromGateway, check_acknowledged
from reconcile.aggregate import from_gateway
from reconcile.losses import Accepted, AcceptedLoss
from reconcile.model import Findings
from reconcile.ops import read_ops
from tests.builders.scene import Scene

PAIRS = [("a", b'{"n":1}'), ("b", b'{"n":2}')]
DECOY = b'{"x":"\n\x03via\x12\x07gateway"}'


def findings(stream: int, backlog: int = 0) -> Findings:
    found = Findings()
    for stage, records in (("stream", stream), ("backlog", backlog), ("forgotten", 0)):
        found.count(stage, records)
    return found


@pytest.mark.parametrize(
    ("data", "records"),
    [
        (aggregate(PAIRS, GATEWAY_TAG), 2),
        (aggregate(PAIRS), 0),
        (aggregate([*PAIRS, ("c", DECOY)]), 0),
        (aggregate(PAIRS, ("via", "gateways")), 0),
        (DECOY, 0),
        (aggregate(PAIRS, GATEWAY_TAG)[:-1] + b"x", 0),
    ],
    ids=["tagged", "untagged", "the tag's bytes in a record", "another tag", "a plain record", "a broken aggregate"],
)
def test_the_tag_is_counted_where_it_is_a_tag(data: bytes, records: int) -> None:
    assert from_gateway(data) == records


def test_fewer_on_the_stream_than_acknowledged_is_a_loss() -> None:
    found = findings(stream=100)
    check_acknowledged(12, FromGateway(records=10, whole=True), found)
    assert (found.stages["acknowledged"], [loss.name for loss in found.losses]) == (12, ["acknowledged:gateway"])
    assert "acknowledged 12 user records, but the stream holds 10" in found.differences[0]


def test_as_many_or_more_is_none() -> None:
    for acknowledged, found in ((10, FromGateway(records=10, whole=True)), (10, FromGateway(records=0, whole=False))):
        noted = findings(stream=4, backlog=6)
        check_acknowledged(acknowledged, found, noted)
        assert noted.differences == []


def test_an_accepted_loss_is_not_reported_again() -> None:
    loss = AcceptedLoss(
        kind="acknowledged", place="gateway", records=2, who="ana", why="emulator killed", accepted_at=None
    )
    found = findings(stream=10)
    found.accepted = Accepted([loss])
    check_acknowledged(12, FromGateway(records=10, whole=True), found)
    assert found.differences == []


def test_processes_are_added_up(scene: Scene) -> None:
    insert = "insert into ops.acknowledged values (%s, %s, now(), now())"
    with psycopg.connect(scene.settings.postgres_dsn.get_secret_value()) as postgres:
        postgres.execute(insert, ["one", 3])
        postgres.execute(insert, ["other", 4])
    try:
        assert read_ops(scene.settings).acknowledged == 7
    finally:
        scene.sql("delete from ops.acknowledged")
