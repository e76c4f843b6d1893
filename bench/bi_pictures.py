"""The pictures of docs/how-to/connect-a-bi-tool.md: the dashboards of a running Superset, in a headless Chromium.

`python -m bench.bi_pictures FOLDER < desk.json`, with what `fleetlake bi up --json` prints.
"""

import json
import sys
from pathlib import Path
from typing import Any

from bench.serve_screen import CHROMIUM, FLAGS

_WIDTH, _HEIGHT = 1440, 1900
_WITHIN_MS = 300_000
_SETTLED_MS = 4_000
_QUALITY = 82
_DASHBOARD = ".dashboard-content"
_CLIP = """() => {
    const {left, top, width} = document.querySelector(".dashboard-content").getBoundingClientRect();
    const last = document.querySelector("[data-test='grid-content']").getBoundingClientRect().bottom;
    return {x: left, y: top, width: width, height: last + 16 - top};
}"""
"""The charts, without the filters beside them and what is empty below them."""


def pictures(desk: dict[str, Any], folder: Path) -> None:
    """Save each dashboard of the desk, all its charts at a width of 1440 px, as `bi-TITLE.jpg`."""
    from playwright.sync_api import sync_playwright

    login = json.loads(Path(desk["password_file"]).read_text(encoding="utf-8"))
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}, color_scheme="light")
        page.set_default_timeout(_WITHIN_MS)
        page.goto(f"{desk['url']}/login/")
        page.fill("#username", login["user"])
        page.fill("#password", login["password"])
        page.press("#password", "Enter")
        page.wait_for_url(lambda address: "/login" not in address)
        for title, address in desk["dashboards"].items():
            page.goto(address)
            page.wait_for_selector(_DASHBOARD)
            page.wait_for_timeout(_SETTLED_MS)
            page.wait_for_function("() => !document.querySelector('[data-test=\"loading-indicator\"], .loading')")
            page.wait_for_timeout(_SETTLED_MS)
            file = folder / f"bi-{title.lower().replace(' ', '-')}.jpg"
            page.screenshot(path=str(file), type="jpeg", quality=_QUALITY, clip=page.evaluate(_CLIP))
        browser.close()


if __name__ == "__main__":
    pictures(json.load(sys.stdin), Path(sys.argv[1]))
