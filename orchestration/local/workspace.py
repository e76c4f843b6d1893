"""The code locations as webserver and daemon are told of them."""

import json
from collections.abc import Iterable
from pathlib import Path

from contracts.ports import HOST


def grpc_variable(location: str) -> str:
    """The variable that tells webserver and daemon the port of a code server."""
    return f"FLEETLAKE_GRPC_{location.upper()}"


def write_workspace(locations: Iterable[str], path: Path) -> Path:
    """Write a workspace of these locations, as the project's workspace.yaml is of its region table; returns `path`."""
    servers = [
        {"grpc_server": {"location_name": name, "host": HOST, "port": {"env": grpc_variable(name)}}}
        for name in locations
    ]
    path.write_text(json.dumps({"load_from": servers}, indent=1) + "\n", encoding="utf-8")  # JSON is YAML.
    return path
