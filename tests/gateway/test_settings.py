"""The gateway's settings and metrics: each is documented, and nothing else."""

import re
from pathlib import Path

import pytest

from contracts.errors import BadSettings
from contracts.gateway_settings import GatewaySettings
from contracts.settings import RegionSettings
from gateway.metrics import Metrics
from gateway.refusals import Refusal
from tests.contracts.test_settings import ENVIRON

DOCS = Path(__file__).parents[2] / "docs"


def test_every_setting_is_documented_with_its_default() -> None:
    rows = (DOCS / "settings.md").read_text().splitlines()
    documented = {row.split("|")[1].strip(): row.split("|")[2].strip() for row in rows if "| FLEETLAKE_GATEWAY_" in row}
    expected = {
        f"FLEETLAKE_GATEWAY_{name.upper()}": "" if field.default is None else f"{field.default:g}"
        for name, field in GatewaySettings.model_fields.items()
        if not isinstance(field.default, str)
    }
    assert {name: documented.get(name, "missing").strip("`") for name in expected} == expected
    assert documented["FLEETLAKE_GATEWAY_HOST"] == "`127.0.0.1`"


def test_every_metric_and_every_refusal_is_documented_and_nothing_else() -> None:
    page = (DOCS / "reference" / "gateway.md").read_text()
    families = list(Metrics().registry.collect())
    names = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    table = page.partition("## Metrics")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    assert {f"fleetlake_gateway_{name}" for name in documented} == names
    table = page.partition("## Refusals")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| 0x(\w\w) \|", table, re.MULTILINE)
    told = {(label, int(status), int(reason, 16)) for label, status, reason in rows}
    assert told == {(one.label, one.status, int(one.reason)) for one in Refusal}


def test_settings_come_from_the_environment_and_bad_ones_are_named() -> None:
    settings = RegionSettings.load(ENVIRON | {"FLEETLAKE_GATEWAY_MQTT_PORT": "1", "FLEETLAKE_GATEWAY_PACKET_KIB": "8"})
    assert (settings.gateway.mqtt_port, settings.gateway.packet_kib, settings.gateway.plain_port) == (1, 8, None)
    for name, value in (("CONNECTIONS", "0"), ("MQTT_PORT", "70000"), ("KEEP_ALIVE_S", "90000")):
        with pytest.raises(BadSettings, match=f"FLEETLAKE_GATEWAY_{name}"):
            RegionSettings.load(ENVIRON | {f"FLEETLAKE_GATEWAY_{name}": value})
    with pytest.raises(BadSettings, match="both the certificate and the key"):
        RegionSettings.load(ENVIRON | {"FLEETLAKE_GATEWAY_KEY": "/a"})
