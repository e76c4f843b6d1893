"""What `fleetlake top` shows of the gateway: processes, rates and refusals from their own pages."""

import asyncio
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from cli.top import view
from gateway.service.overview import GatewayOverlook, GatewayView, announce, announced
from ingest.service.overview import Overview
from tests.gateway.conftest import Ground


def test_a_process_is_found_by_its_announcement_and_its_work_is_shown(ground: Ground) -> None:
    token = ground.device("top-1")
    client = ground.connected("top-1", token)
    urls = announced(Path(ground.settings.state), "eu")
    assert len(urls) >= 1

    async def looks() -> tuple[list[GatewayView], list[GatewayView]]:
        overlook = GatewayOverlook()
        first = await overlook.look(urls)
        record = json.dumps({"device_id": "top-1", "ts": "2026-11-01T10:00:00Z"}).encode()
        await asyncio.to_thread(client.publish, "v1/devices/top-1/telemetry", record)
        await asyncio.to_thread(client.publish, "v1/devices/other/telemetry", record)
        return first, await overlook.look(urls)

    first, second = asyncio.run(looks())
    assert [one.messages_per_s for one in first] == [None] * len(first)
    busy = [one for one in second if one.acknowledged_per_s]
    assert len(busy) == 1
    assert busy[0].sessions >= 1 and busy[0].ready and busy[0].acknowledge_ms is not None
    assert busy[0].refused["other_device"] > first[second.index(busy[0])].refused.get("other_device", 0)
    shown = _shown(second)
    assert f"other_device {busy[0].refused['other_device']}" in shown and " ms" in shown and "ready" in shown


def test_a_killed_process_is_forgotten_when_the_next_one_announces_itself(tmp_path: Path) -> None:
    gone = tmp_path / "gateway" / "pages" / "eu-4194305.url"
    gone.parent.mkdir(parents=True)
    gone.write_text("http://127.0.0.1:1", encoding="utf-8")
    own = announce(tmp_path, "eu", "http://127.0.0.1:2")
    assert announced(tmp_path, "eu") == ["http://127.0.0.1:2"]
    own.unlink()
    assert announced(tmp_path, "eu") == []


@pytest.mark.parametrize(
    ("process", "said"),
    [
        ({"away": {"stream": 12.0}, "ready": False}, "stream away 12 s"),
        ({"away": {"registry": 0.0}}, "registry away"),
        ({"draining": True}, "draining"),
        ({"ready": False}, "not ready"),
    ],
)
def test_what_is_wrong_with_a_process_is_said(process: dict[str, object], said: str) -> None:
    usual = GatewayView(
        process="p1", pages="http://127.0.0.1:1", ready=True, draining=False, connections=3, sessions=2,
        messages_per_s=None, acknowledged_per_s=None, acknowledge_ms=None, handshakes_per_s=None, refused={},
        held_share=0.1, away={},
    )  # fmt: skip
    named = {name: getattr(usual, name) for name in usual.__struct_fields__} | process
    assert said in _shown([GatewayView(**named)])


def _shown(processes: list[GatewayView]) -> str:
    console = Console(record=True, width=220, file=io.StringIO())
    console.print(view(Overview(region="eu", at_ms=0, workers=[], shards=[], ended_shards=0), processes))
    return console.export_text()
