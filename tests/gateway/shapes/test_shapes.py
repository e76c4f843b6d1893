"""Which shape a topic or a path has, and what a file of shapes must not say."""

from pathlib import Path

import pytest

from contracts.errors import BadMapping
from gateway.identity.model import Access, Identity, KnownDevice
from gateway.refusals import Refusal, Refused
from gateway.shapes.shapes import load_shapes, match

SHAPES = """
[[shape]]
name = "owntracks"
topic = "owntracks/+/{device}"
mapping = "owntracks.toml"

[[shape]]
name = "tracker"
path = "/tracker/v2"
records = "positions"
[shape.mapping]
device_id = { column = "imei" }
"""


def identity(device: str = "phone-7", *others: str) -> Identity:
    return Identity(KnownDevice(device, "acme", Access.ACTIVE, speaks_for=frozenset(others)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "owntracks.toml").write_text('[ts]\ncolumn = "tst"\nunit = "s"\n')
    (tmp_path / "shapes.toml").write_text(SHAPES)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "topic", "found"),
    [
        ("owntracks/+/{device}", "owntracks/jane/phone-7", (True, "phone-7")),
        ("owntracks/+/{device}", "owntracks/jane/phone-7/event", (False, None)),
        ("owntracks/+/{device}", "owntracks/jane", (False, None)),
        ("{device}/data", "x/data", (True, "x")),
        ("+/data", "$SYS/data", (False, None)),
        ("fleet/#", "fleet", (True, None)),
        ("fleet/#", "fleet/a/b", (True, None)),
        ("/up/{device}/#", "/up/x/y/z", (True, "x")),
        ("up/{device}", "up/", (True, "")),
    ],
)
def test_topics_fit_as_mqtt_has_it(pattern: str, topic: str, found: tuple[bool, str | None]) -> None:
    assert match(pattern.split("/"), topic.split("/")) == found


def test_topics_and_paths_have_their_shapes(folder: Path) -> None:
    shapes = load_shapes(folder / "shapes.toml")
    split = shapes.of_topic("owntracks/jane/phone-7", identity())
    assert split is not None
    assert split(b'{"tst":1795417366}') == [b'{"device_id":"phone-7","ts":1795417366000}']
    assert shapes.of_topic("owntracks/jane", identity()) is None
    by_path = shapes.of_path("/tracker/v2", identity())
    assert by_path is not None
    assert by_path(b'{"imei":12,"positions":[{"ts":1795417366001}]}') == [b'{"device_id":"12","ts":1795417366001}']
    assert (shapes.has_path("/tracker/v2"), shapes.has_path("/tracker")) == (True, False)


def test_a_topic_of_another_device_is_refused(folder: Path) -> None:
    shapes = load_shapes(folder / "shapes.toml")
    with pytest.raises(Refused) as refused:
        shapes.of_topic("owntracks/jane/phone-8", identity())
    assert refused.value.refusal is Refusal.OTHER_DEVICE
    assert shapes.of_topic("owntracks/jane/phone-8", identity("hub", "phone-8")) is not None


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ('topic = "owntracks/+/{device}"\n', "", "a topic or a path"),
        ("owntracks/+/{device}", "v1/devices/{device}/telemetry", "the contract's own"),
        ("owntracks/+/{device}", "#", "the contract's own"),
        ("owntracks/+/{device}", "a/{device}/{device}", "is no filter"),
        ("owntracks/+/{device}", "a/#/b", "is no filter"),
        ("owntracks/+/{device}", "a/b+", "is no filter"),
        ("/tracker/v2", "/v1/telemetry", "no path of its own"),
        ("/tracker/v2", "tracker", "no path of its own"),
        ('name = "tracker"', 'name = "owntracks"', "two shapes have name"),
        ("owntracks.toml", "gone.toml", "no mapping 'gone.toml'"),
        ("imei", 'imei"\nx = "y', "malformed"),
        ("records =", "recrods =", "recrods"),
    ],
)
def test_a_wrong_file_is_said_at_the_start(folder: Path, was: str, now: str, says: str) -> None:
    (folder / "shapes.toml").write_text(SHAPES.replace(was, now))
    with pytest.raises(BadMapping, match="FLEETLAKE_GATEWAY_SHAPES") as found:
        load_shapes(folder / "shapes.toml")
    assert says in str(found.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadMapping, match="cannot be read"):
        load_shapes(tmp_path / "gone.toml")


def test_without_a_file_there_are_no_shapes() -> None:
    assert load_shapes(None).of_topic("owntracks/jane/phone-7", identity()) is None
