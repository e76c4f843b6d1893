"""An operator draws, changes and deletes a zone in Chromium; a viewer is offered none of it."""

import psycopg

from serving.access.caller import Role
from tests.builders.serving import fleets_of
from tests.serving.conftest import Served
from tests.serving.test_browser import chromium, closed_pages, opened, pytestmark, until

ACME, _ = fleets_of("eu")
__all__ = ["chromium", "closed_pages", "pytestmark"]
SQUARE = ((560, 300), (760, 300), (760, 460), (560, 460))


def test_an_operator_draws_corrects_changes_and_deletes_a_zone(chromium: object, served: Served) -> None:
    # Zones that other tests of this stack left open are not on this map.
    with psycopg.connect(served.eu.settings.postgres_dsn.get_secret_value()) as region:
        region.execute("update registry.zone set valid_to = now() where valid_to is null and valid_from < now()")
    seen = opened(chromium, served, served.eu.token(ACME, role=Role.operator))
    page = seen.page
    page.wait_for_timeout(1_500)
    page.click("#zoning")
    page.click("#zones .primary")
    # Its sides cross: the API says so beside the form, and nothing that was drawn is lost.
    for number in (0, 2, 1, 3):
        page.mouse.click(*SQUARE[number])
    page.keyboard.press("Enter")
    page.fill("#zones form input >> nth=0", "Drawn")
    page.click("#zones [type=submit]")
    until(page, "document.querySelector('#zones .error').textContent.includes('cross')")
    for _ in range(4):
        page.click("#zones .tool >> nth=0")
    assert page.locator(".corner").count() == 1
    for number in (1, 2, 3):
        page.mouse.click(*SQUARE[number])
    page.click("#zones .tool >> nth=2")
    dragged = page.locator(".corner").nth(2).bounding_box()
    page.mouse.move(dragged["x"] + 8, dragged["y"] + 8)
    page.mouse.down()
    page.mouse.move(800, 520, steps=4)
    page.mouse.up()
    page.click("#zones [type=submit]")
    page.wait_for_selector("#zones .chosen")
    with served.eu.client(served.eu.token(ACME)) as client:
        (zone,) = client.get("/v1/zones", params={"ended": False}).json()["items"]
        west, north = zone["ring"][0]
        assert (zone["name"], len(zone["ring"])) == ("Drawn", 4)
        assert zone["ring"][1][1] == north
        assert zone["ring"][2][0] > zone["ring"][1][0] > west
        page.click("#zones .chosen [title^=Edit]")
        page.locator(".corner").nth(0).focus()
        page.keyboard.press("ArrowLeft")
        page.fill("#zones form input >> nth=0", "Changed")
        page.click("#zones [type=submit]")
        page.wait_for_selector("#zones .chosen b:text('Changed')")
        (changed,) = client.get("/v1/zones", params={"ended": False}).json()["items"]
        assert changed["ring"][0][0] < west
        assert client.get(f"/v1/zones/{zone['zone_id']}").json()["valid_to"] == changed["valid_from"]
        page.click("#zones .chosen [title^=Delete]")
        page.click("#sure .plain")
        assert client.get("/v1/zones", params={"ended": False}).json()["items"] == [changed]
        page.click("#zones .zones [title^=Delete]")
        page.click("#sure .danger")
        page.wait_for_selector("#zones .empty")
        assert client.get("/v1/zones", params={"ended": False}).json()["items"] == []
    # The problem that was provoked is in the console, and nothing else.
    assert [one for one in seen.errors if "400" not in one] == []


def test_a_viewer_is_offered_no_tools_for_zones(chromium: object, served: Served) -> None:
    seen = opened(chromium, served, served.eu.token(ACME))
    assert not seen.page.locator("#zoning").is_visible()
    assert seen.errors == []
