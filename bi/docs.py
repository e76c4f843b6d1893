"""dbt's docs of a region: generated over its database, served on 127.0.0.1 to a page that may ask no other host."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from contracts.environment import inherited
from contracts.ports import HOST, free_port
from contracts.settings import RegionSettings, WorldSettings
from marts.dbt import EXECUTABLE, PROJECT, dbt_environment, target
from marts.manifests import DbtFailed

_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'"
)
"""dbt's page is one file with its scripts in it; from another host it gets nothing, and tells none that it is open."""
SHOWN = ("/index.html", "/manifest.json", "/catalog.json")
"""What the page reads. dbt's logs and compiled SQL lie beside them and are not served."""


def generate(settings: RegionSettings | WorldSettings, folder: Path) -> None:
    """Write index.html, manifest.json and catalog.json of the region (or of world) below `folder`.

    Raises DbtFailed with the end of dbt's output.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    environment = inherited(os.environ) | dbt_environment(settings)
    words = ["--target", target(settings.region), "--target-path", str(folder), "--log-path", str(folder)]
    done = subprocess.run(
        [str(EXECUTABLE), "--no-use-colors", "docs", "generate", *words],
        cwd=PROJECT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise DbtFailed(f"dbt could not generate the docs of {settings.region}:\n{(done.stdout + done.stderr)[-2000:]}")


@contextmanager
def serving(folder: Path, port: int | None = None) -> Iterator[str]:
    """Serve the generated docs while the block runs, at the address yielded. Raises OSError where the port is taken."""
    server = ThreadingHTTPServer((HOST, port or free_port()), partial(_Handler, directory=str(folder)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(SimpleHTTPRequestHandler):
    """Answers the page's three files."""

    def send_head(self):  # type: ignore[no-untyped-def]
        if self.path.partition("?")[0] == "/":
            self.path = "/index.html"
        if self.path.partition("?")[0] not in SHOWN:
            self.send_error(404, "no such page")
            return None
        return super().send_head()

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the terminal is the command's."""
