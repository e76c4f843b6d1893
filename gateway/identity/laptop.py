"""Authorities kept in a folder of this machine, for trying the gateway out and for simulated fleets.

In production the server's certificate and the fleets' CAs come from the operator's own PKI.
"""

import os
from pathlib import Path
from typing import NamedTuple

from contracts.ports import HOST
from gateway.identity.authority import Pair, issue_device, issue_server, new_authority

_SERVER = "server"


class ServerFiles(NamedTuple):
    """Paths of a server certificate, its key, and the CA that clients trust."""

    certificate: Path
    key: Path
    ca: Path


def folder_of(state: Path, region: str) -> Path:
    """Where a region's authorities are."""
    return state / "gateway" / region


def server_files(folder: Path) -> ServerFiles:
    """A certificate for this machine, made at the first call."""
    authority = _authority(folder, "server-ca", "Fleetlake local server CA")
    files = ServerFiles(folder / f"{_SERVER}.pem", folder / f"{_SERVER}.key", folder / "server-ca.pem")
    if not (files.certificate.exists() and files.key.exists()):
        _write(folder, _SERVER, issue_server(authority, ["localhost", HOST, "::1"], days=825))
    return files


def fleet_authority(folder: Path, fleet_id: str) -> Pair:
    """A fleet's CA, made at the first call."""
    return _authority(folder, f"fleet-{fleet_id}", f"Fleetlake local CA of {fleet_id}")


def device_files(folder: Path, authority: Pair, device_id: str, days: float = 365) -> tuple[Path, Path]:
    """A new certificate of a device and its key, in that folder."""
    _write(folder, device_id, issue_device(authority, device_id, days))
    return folder / f"{device_id}.pem", folder / f"{device_id}.key"


def _authority(folder: Path, name: str, subject: str) -> Pair:
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    if not (certificate.exists() and key.exists()):
        _write(folder, name, new_authority(subject))
    return Pair(certificate.read_text(), key.read_text())


def _write(folder: Path, name: str, pair: Pair) -> None:
    """The key before the certificate, readable by its owner alone."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / f"{name}.key", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(pair.key)
    (folder / f"{name}.pem").write_text(pair.certificate)
