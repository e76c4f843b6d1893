"""What a browser shows: frames a second while 5,000 devices move, and how late a record of the stream is on screen."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

import stack
from bench.one_region import REGION
from bench.rows import Row
from bench.team import Member, quantile
from contracts.names import stream
from contracts.settings import RegionSettings

CHROMIUM = Path("/usr/bin/chromium")
PROBES = 30
_FRAMES_S = 15.0
_WITHIN_MS = 300_000
FLAGS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
_COUNT_FRAMES = """seconds => new Promise(done => {
    let frames = 0; const end = performance.now() + seconds * 1000;
    const frame = now => { frames += 1; now < end ? requestAnimationFrame(frame) : done(frames / seconds); };
    requestAnimationFrame(frame); })"""
_PROBE = "bench-00000"
_WATCH = """() => { window.arrivals = {}; new MutationObserver(() => {
    const said = document.querySelector('#list .what')?.textContent;
    if (said && !(said in window.arrivals)) window.arrivals[said] = Date.now();
}).observe(document.getElementById('list'), { childList: true, subtree: true, characterData: true }); }"""


def screen(service: Any, state: Path, moved: Callable[[int], list[dict[str, Any]]]) -> list[Row]:
    """Both figures, in a headless Chromium that draws by software."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(_WITHIN_MS)
        page.goto(f"{service.origin}/map/#token={service.token('bench')}")
        page.wait_for_selector("#list .device")
        page.wait_for_timeout(5_000)
        frames = _frames(page, service.settings, moved)
        late = _put_to_screen(page, state)
        browser.close()
    return [
        Row(id="frames_s_5000", what="frames a second, 5,000 devices moving", value=frames, unit="1/s"),
        Row(
            id="put_to_screen_p50_ms",
            what="from PutRecords to the page, p50",
            value=1e3 * quantile(late, 0.5),
            unit="ms",
        ),
        Row(
            id="put_to_screen_p95_ms",
            what="from PutRecords to the page, p95",
            value=1e3 * quantile(late, 0.95),
            unit="ms",
        ),
    ]


def _frames(page: Any, settings: RegionSettings, moved: Callable[[int], list[dict[str, Any]]]) -> float:
    """All devices move once a second, written by a thread as the consumer writes."""
    from tests.builders.serving import write_live

    done = threading.Event()

    def move() -> None:
        turn = 100
        while not done.wait(0.5):
            turn += 1
            write_live(settings, moved(turn))

    thread = threading.Thread(target=move)
    thread.start()
    try:
        page.wait_for_timeout(3_000)
        return float(page.evaluate(_COUNT_FRAMES, _FRAMES_S))
    finally:
        done.set()
        thread.join()


def _put_to_screen(page: Any, state: Path) -> list[float]:
    """Seconds from before PutRecords until the list shows the speed that the record says."""
    environment = stack.region_environment(state, REGION, {})
    settings = RegionSettings.load(environment)
    client = boto3.client("kinesis", **settings.kinesis.client_kwargs(settings.row.aws_region))
    consumer = Member("m0", environment)
    try:
        consumer.wait_for("lease.taken", 2, within_s=_WITHIN_MS / 1000)
        page.fill("#search", _PROBE)
        page.wait_for_function("document.querySelectorAll('#list .device').length === 1")
        page.evaluate(_WATCH)
        sent = {}
        for number in range(PROBES):
            speed = 31 + number
            body = {"device_id": _PROBE, "ts": int(time.time() * 1000), "lat": 50.0, "lon": 8.0, "speed_kmh": speed}
            sent[f"{speed} km/h"] = time.time()
            client.put_record(StreamName=stream(REGION), Data=json.dumps(body).encode(), PartitionKey=_PROBE)
            # Not in step with the streams' beat.
            page.wait_for_timeout(2_000 + 37 * number)
        arrivals: dict[str, float] = page.evaluate("window.arrivals")
    finally:
        consumer.kill()
    late = [arrivals[text] / 1000 - at for text, at in sent.items() if text in arrivals]
    assert len(late) >= PROBES * 0.9, f"{PROBES - len(late)} of {PROBES} records never came to the page"
    return sorted(late)
