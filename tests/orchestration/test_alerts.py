"""Alerts tell what is wrong when it begins and when it is over, and nothing twice."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    DagsterInstance,
    Definitions,
    ResourceDefinition,
    build_sensor_context,
)
from pydantic import SecretStr

from assets.operators import AlertNotTaken, LakeOperators, Trouble
from contracts.settings import AlertSettings, WorldSettings
from orchestration.alerts import alerts_sensor
from orchestration.local.process import process

CHECK = AssetCheckKey(AssetKey(["eu", "history"]), "history_keeps_its_contract")


@dataclass
class Told:
    """A receiver in memory, and what the stores say."""

    is_on: bool = True
    run_log_days: int = 30
    waiting: list[Trouble] = field(default_factory=list)
    messages: list[Mapping[str, Any]] = field(default_factory=list)
    away: bool = False

    def late(self) -> Sequence[Trouble]:
        return self.waiting

    def tell(self, message: Mapping[str, Any]) -> None:
        if self.away:
            raise AlertNotTaken("away")
        self.messages.append(message)


@pytest.fixture
def told() -> Told:
    return Told()


class Watch:
    """The sensor with a cursor that lasts, as the daemon keeps it."""

    def __init__(self, told: Told, instance: DagsterInstance) -> None:
        self.sensor = alerts_sensor("eu", ["eu/landing", "eu/days"], [CHECK])
        self.told, self.instance, self.cursor = told, instance, None
        resources = {"operators": ResourceDefinition.hardcoded_resource(told)}
        self.repository = Definitions(sensors=[self.sensor], resources=resources).get_repository_def()

    def look(self) -> str:
        context = build_sensor_context(
            self.instance, self.cursor, repository_def=self.repository, resources={"operators": self.told}
        )
        skipped = self.sensor.evaluate_tick(context)
        self.cursor = skipped.cursor
        return str(skipped.skip_message)


@pytest.fixture
def watch(told: Told, instance: DagsterInstance) -> Watch:
    return Watch(told, instance)


def evaluated(instance: DagsterInstance, passed: bool) -> None:
    instance.report_runless_asset_event(
        AssetCheckEvaluation(
            asset_key=CHECK.asset_key,
            check_name=CHECK.name,
            passed=passed,
            metadata={},
            severity=AssetCheckSeverity.WARN,
        )
    )


def test_nothing_is_told_while_all_is_well(watch: Watch, told: Told) -> None:
    assert watch.look() == "0 troubles, 0 new, 0 over"
    assert told.messages == []


def test_a_failed_run_is_told_once_and_its_end_too(watch: Watch, told: Told, repository, spark) -> None:
    spark.failing = 1
    assert not process("eu", repository, watch.instance, lambda _: None).ok
    watch.look()
    watch.look()
    (message,) = told.messages
    assert message["location"] == "eu"
    assert "eu/landing fails" in message["text"]
    assert "What to do" in message["text"]
    assert process("eu", repository, watch.instance, lambda _: None).ok
    watch.look()
    assert told.messages[1]["over"][0]["title"] == message["begun"][0]["title"]
    assert told.messages[1]["open"] == 0
    watch.look()
    assert len(told.messages) == 2


def test_a_check_that_does_not_hold_is_told_until_it_does(watch: Watch, told: Told) -> None:
    evaluated(watch.instance, passed=True)
    watch.look()
    evaluated(watch.instance, passed=False)
    watch.look()
    evaluated(watch.instance, passed=True)
    watch.look()
    assert [len(message["begun"]) - len(message["over"]) for message in told.messages] == [1, -1]
    assert "history_keeps_its_contract of eu/history does not hold" in told.messages[0]["text"]


def test_what_the_receiver_did_not_take_is_told_again(watch: Watch, told: Told) -> None:
    told.waiting = [Trouble("late/marts", "3 business days wait", "look")]
    told.away = True
    with pytest.raises(AlertNotTaken):
        watch.look()
    told.away = False
    watch.look()
    assert [message["open"] for message in told.messages] == [1]


def test_nobody_is_told_where_nobody_is_named(watch: Watch, told: Told) -> None:
    told.is_on = False
    told.waiting = [Trouble("late/marts", "3 business days wait", "look")]
    assert "FLEETLAKE_ALERTS_URL" in watch.look()
    assert told.messages == []


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(500 if "/refuses" in self.path else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    server.server_close()


def test_it_is_posted_and_a_refusal_does_not_show_the_address(receiver: tuple[str, list[dict[str, Any]]]) -> None:
    url, got = receiver

    def operators(url: str) -> LakeOperators:
        alerts = AlertSettings(url=SecretStr(url))
        return LakeOperators(WorldSettings(postgres_dsn=SecretStr("postgresql://x"), alerts=alerts))

    operators(f"{url}/key-4711").tell({"text": "hello"})
    assert got == [{"text": "hello"}]
    for broken in (f"{url}/refuses/key-4711", "http://127.0.0.1:1/key-4711"):
        with pytest.raises(AlertNotTaken) as caught:
            operators(broken).tell({"text": "hello"})
        assert "key-4711" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_an_address_that_is_none_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="https://"):
        AlertSettings(url=SecretStr("hooks.example.com"))
