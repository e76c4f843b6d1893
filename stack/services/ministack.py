"""Kinesis, DynamoDB and IAM by ministack, which checks signatures and enforces the users' policies."""

import http.client
import signal
import sys
from typing import ClassVar

from contracts.ports import HOST
from stack.processes import Command
from stack.provision.aws import provision_aws
from stack.site import Site

_SERVICES = "kinesis,dynamodb,iam,sts"


class MiniStack:
    """One process for the three services. It keeps everything in memory, and snapshots in `kinesis/state`."""

    name: ClassVar[str] = "kinesis"
    port_names: ClassVar[tuple[str, ...]] = ("kinesis",)
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    patience_s: ClassVar[float] = 120.0
    """Saving a stream of millions of records takes that long."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._folder = site.layout.data(self.name)

    def digest(self) -> str:
        """The services that it serves; everything else is configured through its API."""
        return _SERVICES

    def prepare(self) -> Command:
        """Make the folder of its snapshots; it reads the newest at start."""
        (self._folder / "state").mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        root = self._site.secrets.aws_root
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder),
            "GATEWAY_PORT": str(self._site.ports[self.name]),
            "BIND_HOST": HOST,
            "AUTH": "true",
            "AWS_ACCESS_KEY_ID": root.access_key,
            "AWS_SECRET_ACCESS_KEY": root.secret_key,
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self._folder / "state" / "current"),
            "SERVICES": _SERVICES,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "DOCKER_HOST": f"unix://{self._folder / 'no-docker.sock'}",
            "LOG_LEVEL": "WARNING",
        }
        return Command([sys.executable, "-m", "stack.emulator"], environment, self._folder)

    def healthy(self) -> bool:
        """Whether it reports that it is ready."""
        connection = http.client.HTTPConnection(HOST, self._site.ports[self.name], timeout=3)
        try:
            connection.request("GET", "/_ministack/ready")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def provision(self) -> None:
        """Streams, tables and users."""
        provision_aws(self._site)

    def tidy(self) -> None:
        """Remove its pid file, which a killed process leaves behind."""
        for left in self._folder.glob("ministack-*.pid"):
            left.unlink(missing_ok=True)
