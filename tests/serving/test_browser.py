"""The live map in Chromium: devices, a click, a day, replay, filters, a phone; nothing from another host."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.builders.serving import DAY, devices_of, fleets_of, live_row, write_live
from tests.serving.conftest import Served

CHROMIUM = Path("/usr/bin/chromium")
WITHIN_MS = 90_000
ACME, ZETA = fleets_of("eu")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's package chromium: apt-get install chromium"),
]


@dataclass
class Seen:
    """A page, what its console said, and whom it asked."""

    page: object
    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    urls: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    sync_api = pytest.importorskip("playwright.sync_api")
    flags = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield browser
        browser.close()


@pytest.fixture(autouse=True)
def closed_pages(chromium: object) -> Iterator[None]:
    """A map that nobody looks at any more draws on, and takes the time of those that follow."""
    yield
    for context in chromium.contexts:
        context.close()


def opened(chromium: object, served: Served, token: str, *, width: int = 1440, more: str = "") -> Seen:
    """The page with a token, once the list has devices."""
    context = chromium.new_context(viewport={"width": width, "height": 900}, has_touch=width < 800)
    seen = Seen(context.new_page())
    seen.page.set_default_timeout(WITHIN_MS)
    seen.page.on("console", lambda one: seen.errors.append(one.text) if one.type == "error" else None)
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("request", lambda request: seen.urls.append(request.url))
    seen.page.goto(f"{served.eu.origin}/map/#token={token}{more}")
    seen.page.wait_for_selector("#list .device")
    return seen


def page_at(chromium: object, served: Served, file: str, words: str, *, width: int = 1440) -> Seen:
    """A page beside the map, with a token of one fleet."""
    context = chromium.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
    seen = Seen(context.new_page())
    seen.page.set_default_timeout(WITHIN_MS)
    seen.page.on("console", lambda one: seen.errors.append(one.text) if one.type == "error" else None)
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("request", lambda request: seen.urls.append(request.url))
    seen.page.goto(f"{served.eu.origin}/map/{file}#token={served.eu.token(ACME)}&{words}")
    return seen


def until(page: object, expression: str) -> None:
    """Wait until an expression of the page holds. Playwright's own wait evaluates text, which the page forbids."""
    for _ in range(WITHIN_MS // 100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{expression} did not hold within {WITHIN_MS // 1000} s")


def turn_to_the_day(page: object) -> None:
    """From today back to the day that has a trip."""
    days = (time.time() - DAY.timestamp()) // 86_400
    for _ in range(int(days)):
        page.click("#panel .day button >> nth=0")
    page.wait_for_selector("#panel .trips button")
    page.wait_for_selector("#replay:not([hidden])")


def asked(seen: Seen) -> set[str]:
    return {urlsplit(url).netloc for url in seen.urls if url.startswith("http")}


def test_a_fleet_is_followed_and_a_day_is_replayed(chromium: object, served: Served) -> None:
    write_live(served.eu.settings, [live_row(devices_of(ACME)[0], lat=50.3, speed_kmh=0.0, sequence=90)])
    seen = opened(chromium, served, served.eu.token(ACME, ZETA), more="&x=1")
    page = seen.page
    assert "token" not in page.url
    assert page.locator("#list .device").count() == 12
    page.fill("#search", "acme-car-00")
    until(page, "document.querySelectorAll('#list .device').length === 1")
    page.click("#list .device")
    page.wait_for_selector("#panel .chip.idle")
    assert page.locator("#panel h2").inner_text() == devices_of(ACME)[0]
    turn_to_the_day(page)
    page.eval_on_selector("#replay input", "one => { one.value = 0; one.dispatchEvent(new Event('input')); }")
    start = page.locator("#replay output").inner_text()
    page.select_option("#replay select", "900")
    page.click("#replay .round")
    until(page, f"document.querySelector('#replay output').textContent.trim() !== {start.strip()!r}")
    page.keyboard.press("Escape")
    page.wait_for_selector("#panel", state="hidden")
    assert seen.errors == []
    assert asked(seen) == {urlsplit(served.eu.origin).netloc}


def test_a_device_that_moves_moves_on_the_page(chromium: object, served: Served) -> None:
    device = devices_of(ACME)[5]
    seen = opened(chromium, served, served.eu.token(ACME))
    seen.page.fill("#search", device)
    until(seen.page, "document.querySelectorAll('#list .device').length === 1")
    seen.page.wait_for_selector("#regions .region.live")
    write_live(served.eu.settings, [live_row(device, lat=50.2, speed_kmh=97.0, sequence=91)])
    until(seen.page, "document.querySelector('#list .what')?.textContent.includes('97')")
    assert seen.errors == []


def test_units_zone_and_form_are_the_persons_own(chromium: object, served: Served) -> None:
    device = devices_of(ACME)[3]
    write_live(served.eu.settings, [live_row(device, lat=50.25, speed_kmh=160.9344, sequence=92)])
    seen = opened(chromium, served, served.eu.token(ACME))
    page = seen.page
    page.fill("#search", device)
    until(page, "document.querySelector('#list .what')?.textContent === '161 km/h'")
    page.click("#settings")
    page.fill("#choices input", "Europe/Nowhere")
    page.click("#choices .primary")
    until(page, "document.querySelector('#choices .error').textContent.includes('Europe/Berlin')")
    page.fill("#choices input", "Asia/Tokyo")
    page.select_option("#choices select >> nth=0", "us")
    page.select_option("#choices select >> nth=1", "de-DE")
    page.click("#choices .primary")
    page.wait_for_selector("#choices", state="detached")
    page.wait_for_selector("#list .device")
    page.fill("#search", device)
    until(page, "document.querySelector('#list .what')?.textContent === '100 mph'")
    page.click("#list .device")
    until(page, "document.querySelector('#panel [title*=\"GMT+9\"]') !== null")
    assert seen.errors == []


def test_two_regions_are_one_map_for_a_token_of_both_and_one_for_a_token_of_one(
    chromium: object, served: Served
) -> None:
    fleets = (ACME, *fleets_of("us"))
    both = opened(chromium, served, served.eu.token(*fleets, regions=["eu", "us"]))
    until(both.page, "document.querySelectorAll('#list .device').length === 18")
    assert asked(both) == {urlsplit(one.origin).netloc for one in (served.eu, served.us)}
    alone = opened(chromium, served, served.eu.token(*fleets, regions=["eu"]))
    until(alone.page, "document.querySelectorAll('#list .device').length === 6")
    assert asked(alone) == {urlsplit(served.eu.origin).netloc}
    assert both.errors == alone.errors == []


def test_a_phone_has_the_list_below_and_the_panel_over_it(chromium: object, served: Served) -> None:
    seen = opened(chromium, served, served.eu.token(ACME), width=390)
    page = seen.page
    assert page.locator("#side").bounding_box()["width"] == 390
    page.click("#list .device >> nth=0")
    page.wait_for_selector("#panel .chip")
    assert page.locator("#panel").bounding_box()["width"] == 390
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert seen.errors == []


def test_without_a_token_the_page_asks_for_one(chromium: object, served: Served) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(WITHIN_MS)
    page.goto(f"{served.eu.origin}/map/")
    page.wait_for_selector("#sign-in[open]")
    page.fill("#sign-in textarea", "no token")
    page.click("#sign-in .primary")
    page.wait_for_selector("#sign-in .error:not(:empty)")
    assert page.locator("#list .device").count() == 0
    page.fill("#sign-in textarea", served.eu.token(ACME))
    page.click("#sign-in .primary")
    page.wait_for_selector("#list .device")
    assert page.locator("#list .device").count() == 6
    assert not page.locator("#sign-in").is_visible()


def test_another_day_takes_the_one_before_away_at_once(chromium: object, served: Served) -> None:
    seen = opened(chromium, served, served.eu.token(ACME))
    page = seen.page
    page.fill("#search", devices_of(ACME)[0])
    until(page, "document.querySelectorAll('#list .device').length === 1")
    page.click("#list .device")
    page.wait_for_selector("#panel .chip")
    turn_to_the_day(page)
    page.wait_for_selector("#panel .figures dt")
    page.wait_for_selector("#panel .scale")
    page.route("**/trail?*", lambda _: None)  # An answer that does not come.
    page.click("#panel .day button >> nth=0")
    page.wait_for_selector("#replay", state="hidden")
    assert page.locator("#panel .figures dt").count() == 0
    assert not page.locator("#panel .scale").is_visible()
    assert seen.errors == []


def test_a_row_that_is_pressed_while_devices_move_is_clicked(chromium: object, served: Served) -> None:
    seen = opened(chromium, served, served.eu.token(ACME))
    page = seen.page
    seen.page.wait_for_selector("#regions .region.live")
    device = page.locator("#list .device .name >> nth=1").inner_text()
    page.locator("#list .device >> nth=1").hover()
    page.mouse.down()
    for turn in range(4):
        write_live(served.eu.settings, [live_row(devices_of(ACME)[4], lat=50.4, sequence=93 + turn)])
        page.wait_for_timeout(700)
    page.mouse.up()
    page.wait_for_selector("#panel .chip")
    assert page.locator("#panel h2").inner_text() == device
    assert seen.errors == []


def test_a_token_that_the_service_refuses_is_asked_for_anew(chromium: object, served: Served) -> None:
    token = served.eu.token(ACME)
    head, body, signature = token.split(".")
    page = chromium.new_context().new_page()
    page.set_default_timeout(WITHIN_MS)
    page.goto(f"{served.eu.origin}/map/#token={head}.{body}.{signature[::-1]}")
    page.wait_for_selector("#sign-in[open]")
    assert "refuses this token" in page.locator("#sign-in .error").inner_text()
    page.fill("#sign-in textarea", token)
    page.click("#sign-in .primary")
    page.wait_for_selector("#list .device")
    assert page.locator("#list .device").count() == 6


def page_refused(chromium: object, questions: str, why: str) -> object:
    """A page whose questions of that form are answered by a 503."""
    page = chromium.new_context().new_page()
    page.set_default_timeout(WITHIN_MS)
    page.route(questions, lambda route: route.fulfill(status=503, json={"title": why}))
    return page


def test_a_region_that_does_not_answer_is_not_said_to_have_no_devices(chromium: object, served: Served) -> None:
    page = page_refused(chromium, "**/v1/**", "Redis is away")
    page.goto(f"{served.eu.origin}/map/#token={served.eu.token(ACME)}")
    page.wait_for_selector("#regions .region.away")
    until(page, "document.querySelector('#list')?.textContent.includes('EU does not answer')")
    assert "No device" not in page.locator("#list").inner_text()
    page.unroute("**/v1/**")
    page.wait_for_selector("#list .device")


def test_a_devices_trips_are_a_table_a_line_and_a_plot(chromium: object, served: Served) -> None:
    device, day = devices_of(ACME)[0], f"{DAY:%Y-%m-%d}"
    seen = page_at(chromium, served, "trips.html", f"device=eu/{device}&from={day}&to={day}")
    page = seen.page
    page.wait_for_selector("tbody tr[aria-selected=true]")
    assert page.locator("tbody tr").count() == 1
    assert "60.0 km" in page.locator("tbody tr").inner_text()
    until(page, "document.querySelector('.plot p').textContent.includes('km/h')")
    before = page.locator(".plot p").inner_text()
    page.locator(".plot canvas").hover(position={"x": 400, "y": 60})
    until(page, f"document.querySelector('.plot p').textContent !== {before!r}")
    with page.expect_download() as kept:
        page.click("button:text('XLSX')")
    assert kept.value.suggested_filename == f"{device}-trips.xlsx"
    assert "token" not in page.url
    assert f"from={day}" in page.url
    assert seen.errors == []
    assert asked(seen) == {urlsplit(served.eu.origin).netloc}


def test_fleets_that_cannot_be_read_are_not_said_to_be_none(chromium: object, served: Served) -> None:
    page = page_refused(chromium, "**/v1/fleets*", "Postgres is away")
    page.goto(f"{served.eu.origin}/map/fleet.html#token={served.eu.token(ACME)}")
    page.wait_for_selector(".said")
    assert page.locator(".said").inner_text().split("\n")[0] == "The fleets cannot be read"
    assert "Postgres is away" in page.locator(".said").inner_text()


def test_a_fleets_day_is_sorted_and_leads_to_a_devices_trips(chromium: object, served: Served) -> None:
    day = f"{DAY:%Y-%m-%d}"
    seen = page_at(chromium, served, "fleet.html", f"fleet=eu/{ACME}&day={day}", width=390)
    page = seen.page
    page.wait_for_selector("tbody tr")
    first = [row.inner_text() for row in page.locator("tbody tr td:first-child").all()]
    assert sorted(first) == devices_of(ACME)
    page.click("th button >> nth=0")
    until(page, f"document.querySelector('tbody b').textContent === {devices_of(ACME)[0]!r}")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.click("tbody tr >> nth=0")
    page.wait_for_selector(".plot canvas")
    assert devices_of(ACME)[0] in page.locator("h1").inner_text()
    assert seen.errors == []
    assert asked(seen) == {urlsplit(served.eu.origin).netloc}
