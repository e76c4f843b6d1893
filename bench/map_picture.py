"""The picture of README: the live map of a running service, in a headless Chromium.

`python -m bench.map_picture ADDRESS FILE [DEVICE]`, with the address that `fleetlake serve --region all` prints.
"""

import sys
from pathlib import Path

from bench.serve_screen import CHROMIUM, FLAGS

_SIZE = {"width": 1440, "height": 810}
_WITHIN_MS = 300_000
_QUALITY = 82


def picture(address: str, file: Path, device: str | None) -> None:
    """Save what the address shows as a JPEG; with a device its panel, its day and its replay."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        page = browser.new_page(viewport=_SIZE, color_scheme="light")
        page.set_default_timeout(_WITHIN_MS)
        page.goto(address)
        page.wait_for_selector("#list .device")
        page.wait_for_selector(".region.connecting", state="detached")
        if device is not None:
            page.fill("#search", device)
            page.click("#list .device >> nth=0")
            page.wait_for_selector("#panel .figures:not(:empty)")
            page.wait_for_selector("#replay:not([hidden])")
            page.fill("#search", "")
            page.locator("#search").blur()
        page.wait_for_timeout(5_000)
        page.screenshot(path=str(file), type="jpeg", quality=_QUALITY)
        browser.close()


if __name__ == "__main__":
    picture(sys.argv[1], Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
