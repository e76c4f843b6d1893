"""S3 lists what it holds before it can give it out; `up` waits for the second."""

from pathlib import Path

import pytest

import stack
from contracts.errors import ServiceFailed
from stack import running
from stack.layout import Layout


def test_up_does_not_come_back_before_objects_can_be_read(own_stack, tmp_path: Path, monkeypatch) -> None:
    stack.down(own_stack.state)
    data = Layout.of(own_stack.state).data("s3") / "data"
    volumes = list(data.glob("stack-probe_*"))
    assert volumes, "the object that `up` reads has a volume of its own"
    for volume in volumes:
        volume.rename(tmp_path / volume.name)

    monkeypatch.setattr(running, "START_S", 4.0)
    with pytest.raises(ServiceFailed, match="s3 did not answer"):
        own_stack.up()

    for volume in volumes:
        (tmp_path / volume.name).rename(volume)
    monkeypatch.undo()
    own_stack.up()
    assert stack.services_status(own_stack.state)["s3"] == "up"
