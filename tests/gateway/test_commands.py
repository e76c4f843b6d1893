"""`fleetlake device`: who may speak, entered, listed, revoked and explained; every act is on record."""

from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.builders.command import fleetlake, reported
from tests.builders.consumer_process import wait_until
from tests.builders.gateway import MqttClient, client_tls, post, telemetry, topic
from tests.gateway.conftest import Ground

EU = ("--region", "eu")


def test_a_token_is_made_rotated_and_replaced(ground: Ground) -> None:
    first = reported(ground.state, "device", "add", "cmd-1", *EU, "--fleet", "cmd", "--type", "truck", "--token")
    assert first.keys() == {"device_id", "fleet_id", "token"}
    client = ground.connected("cmd-1", first["token"])
    second = reported(ground.state, "device", "token", "cmd-1", *EU, "--days", "30")["token"]
    assert client.publish(topic("cmd-1"), telemetry("cmd-1")).reason == 0
    assert reported(ground.state, "device", "list", *EU, "--fleet", "cmd")[0]["tokens"] == 2
    third = reported(ground.state, "device", "token", "cmd-1", *EU, "--replace")["token"]
    assert client.ended() == 0x98
    for token, status in ((first["token"], 401), (second, 401), (third, 202)):
        headers = {"Authorization": f"Bearer cmd-1:{token}", "Content_Type": "application/json"}
        assert post(ground.gateway, telemetry("cmd-1"), **headers)[0] == status


def test_a_certificate_is_issued_and_its_ca_removed(ground: Ground, tmp_path: Path) -> None:
    ca = reported(ground.state, "device", "ca", *EU, "--fleet", "certified")
    words = ("device", "add", "cmd-2", *EU, "--fleet", "certified", "--certificate", str(tmp_path))
    made = reported(ground.state, *words)
    tls = client_tls(ground.gateway, Path(made["certificate"]), Path(made["key"]))
    client = MqttClient(ground.gateway.port("mqtt"), tls)
    assert client.connect("cmd-2") == 0
    assert client.publish(topic("cmd-2"), telemetry("cmd-2")).reason == 0
    reported(ground.state, "device", "ca", *EU, "--remove", ca["ca_id"])
    assert client.ended() == 0x98


@pytest.mark.parametrize("by", ["fingerprint", "serial"])
def test_one_certificate_is_revoked_and_the_device_goes_on_with_another(
    ground: Ground, tmp_path: Path, by: str
) -> None:
    name = f"cmd-{by}"
    reported(ground.state, "device", "ca", *EU, "--fleet", "rotated")
    made = [
        reported(ground.state, "device", "add", name, *EU, "--fleet", "rotated", "--certificate", str(tmp_path / place))
        for place in ("old", "new")
    ]
    contexts = [client_tls(ground.gateway, Path(one["certificate"]), Path(one["key"])) for one in made]
    old = MqttClient(ground.gateway.port("mqtt"), contexts[0])
    assert old.connect(name) == 0
    certificate = x509.load_pem_x509_certificate(Path(made[0]["certificate"]).read_bytes())
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    word = fingerprint if by == "fingerprint" else f"{certificate.serial_number:040X}"
    reported(ground.state, "device", "revoke", name, *EU, "--certificate", word)
    assert old.ended() == 0x98
    assert MqttClient(ground.gateway.port("mqtt"), contexts[0]).connect(name) == 0x87
    new = MqttClient(ground.gateway.port("mqtt"), contexts[1])
    assert new.connect(name) == 0
    assert new.publish(topic(name), telemetry(name)).reason == 0
    refused = fleetlake(ground.state, "device", "revoke", name, *EU, "--certificate", "no hex")
    assert (refused.returncode, "neither the SHA-256" in refused.stderr) == (2, True)


def test_a_file_of_devices_is_entered_whole_or_not_at_all(ground: Ground, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("device_id,fleet_id,type,make\nimp-1,imported,van,MAN\nimp-2,imported,,\n")
    bad.write_text("device_id,fleet_id,type\nimp-3,imported,van\nimp-4,imported,boat\n")
    assert reported(ground.state, "device", "import", str(good), *EU) == {"devices": 2}
    refused = fleetlake(ground.state, "device", "import", str(bad), *EU)
    assert (refused.returncode, "imp-4: there is no type 'boat'" in refused.stderr) == (2, True)
    listed = reported(ground.state, "device", "list", *EU, "--fleet", "imported")
    assert [(row["device_id"], row["type"], row["access"]) for row in listed] == [
        ("imp-1", "van", "active"),
        ("imp-2", "unknown", "active"),
    ]


def test_why_says_what_the_device_was_told(ground: Ground) -> None:
    token = ground.device("cmd-5")
    reported(ground.state, "device", "revoke", "cmd-5", *EU)
    client = MqttClient(ground.gateway.port("mqtt"), ground.gateway.trust())
    assert client.connect("cmd-5", token) == 0x87
    assert client.session.connack is not None
    told = next(iter(client.session.connack.properties.values()))

    def found() -> dict[str, object]:
        said: dict[str, object] = reported(ground.state, "device", "why", "cmd-5", *EU)
        return said

    wait_until(lambda: found()["reason"] == "revoked", 30)
    assert (found()["access"], found()["detail"]) == ("revoked", told)
    reported(ground.state, "device", "activate", "cmd-5", *EU)
    assert ground.connected("cmd-5", token).session.connack is not None
    unknown = fleetlake(ground.state, "device", "why", "nobody", *EU)
    assert (unknown.returncode, "has no device nobody" in unknown.stderr) == (2, True)


@pytest.mark.parametrize(
    "statement", ["delete from registry.access_audit", "update registry.access_audit set who = 'x'"]
)
def test_acts_stay_on_record(ground: Ground, statement: str) -> None:
    ground.device("recorded")
    with psycopg.connect(ground.settings.postgres_dsn.get_secret_value()) as postgres:
        acts = postgres.execute(
            "select act from registry.access_audit where device_id = 'recorded' order by id"
        ).fetchall()
        assert [act for (act,) in acts][:2] == ["add", "token"]
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            postgres.execute(statement.encode())
