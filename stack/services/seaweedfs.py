"""S3 by SeaweedFS: buckets, and identities limited to a bucket or a prefix."""

import hashlib
import json
import shutil
import signal
import sysconfig
from pathlib import Path
from typing import Any, ClassVar

from contracts.ports import HOST
from stack.clients import s3_client
from stack.private_files import write_private
from stack.processes import Command
from stack.provision.s3 import make_buckets, read_probe, s3_identities
from stack.site import Site

_FIRST_WRITE_S = 60.0
"""The first write to a bucket waits for volumes to be allocated, which takes long on a busy machine."""
_GRPC_PARTS = ("s3", "filer", "master", "volume", "admin")


class SeaweedFS:
    """`weed mini`: master, volume, filer and S3 in one process."""

    name: ClassVar[str] = "s3"
    port_names: ClassVar[tuple[str, ...]] = (
        "s3",
        "s3_grpc",
        "s3_master",
        "s3_master_grpc",
        "s3_volume",
        "s3_volume_grpc",
        "s3_filer",
        "s3_filer_grpc",
        "s3_admin",
        "s3_admin_grpc",
    )
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    patience_s: ClassVar[float] = 15.0

    def __init__(self, site: Site) -> None:
        self._site = site
        self._folder = site.layout.data(self.name)

    def digest(self) -> str:
        """The identities, which it only reads at start."""
        return hashlib.sha256(self._identities().encode()).hexdigest()

    def prepare(self) -> Command:
        """Write the identities. Data stays in `s3/data`."""
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        write_private(self._folder / "identities.json", self._identities())
        return Command(
            [str(_weed()), "-logtostderr=true", "mini", *self._options(data)], self._environment(), self._folder
        )

    def healthy(self) -> bool:
        """Whether the S3 gateway answers signed requests and returns objects from before its start."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            read_probe(self._admin_client())
        except (BotoCoreError, ClientError):
            return False
        return True

    def provision(self) -> None:
        """The buckets of the regions and the exchange, and what `healthy` reads."""
        make_buckets(self._admin_client(timeout_s=_FIRST_WRITE_S), self._site.regions)

    def tidy(self) -> None:
        """Remove its unix sockets in /tmp, which are named by port."""
        for part in _GRPC_PARTS:
            for name, port in ((part, self._port(part)), (f"{part}-grpc", self._port(part, grpc=True))):
                if port is not None:
                    Path(f"/tmp/seaweedfs-{name}-{port}.sock").unlink(missing_ok=True)  # noqa: S108

    def _port(self, part: str, *, grpc: bool = False) -> int | None:
        name = ("s3" if part == "s3" else f"s3_{part}") + ("_grpc" if grpc else "")
        return self._site.ports.get(name)

    def _options(self, data: Path) -> list[str]:
        ports = [f"-{part}.port={self._port(part)}" for part in _GRPC_PARTS]
        grpc = [f"-{part}.port.grpc={self._port(part, grpc=True)}" for part in _GRPC_PARTS]
        return [
            f"-ip={HOST}",
            f"-ip.bind={HOST}",
            f"-dir={data}",
            f"-s3.config={self._folder / 'identities.json'}",
            *ports,
            *grpc,
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-webdav=false",
            "-admin.ui=false",
            "-master.telemetry=false",
        ]

    def _environment(self) -> dict[str, str]:
        """The filer and the volumes require tokens, so that their ports do not bypass the identities."""
        write, read = self._site.secrets.s3_write_token, self._site.secrets.s3_read_token
        return {
            "HOME": str(self._folder),
            "PATH": "/usr/bin:/bin",
            "WEED_JWT_SIGNING_KEY": f"volume-{write}",
            "WEED_JWT_SIGNING_READ_KEY": f"volume-{read}",
            "WEED_JWT_FILER_SIGNING_KEY": f"filer-{write}",
            "WEED_JWT_FILER_SIGNING_READ_KEY": f"filer-{read}",
        }

    def _identities(self) -> str:
        return json.dumps(s3_identities(self._site.secrets, self._site.regions), indent=1)

    def _admin_client(self, timeout_s: float = 10.0) -> Any:
        return s3_client(self._site.ports["s3"], self._site.secrets.s3_admin, timeout_s=timeout_s)


def _weed() -> Path:
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    return beside if beside.exists() else Path(shutil.which("weed") or beside)
