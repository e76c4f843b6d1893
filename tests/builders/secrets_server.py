"""Secrets Manager of a test's own: ministack with that service alone."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from contracts.ports import HOST, free_port
from contracts.settings import AwsService
from tests.builders.stack import eventually

_KEYS = ("test-access-key", "test-secret-key")


@contextmanager
def secrets_server(folder: Path) -> Iterator[AwsService]:
    """How a client reaches it."""
    port = free_port()
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        "AWS_ACCESS_KEY_ID": _KEYS[0],
        "AWS_SECRET_ACCESS_KEY": _KEYS[1],
        "SERVICES": "secretsmanager",
        "DOCKER_HOST": f"unix://{folder / 'no-docker.sock'}",
        "LOG_LEVEL": "WARNING",
    }
    process = subprocess.Popen([sys.executable, "-m", "ministack"], cwd=folder, env=environment)
    service = AwsService(endpoint=f"http://{HOST}:{port}", access_key=_KEYS[0], secret_key=_KEYS[1])
    try:
        eventually(lambda: _answers(service))
        yield service
    finally:
        process.kill()
        process.wait()


def secrets_client(service: AwsService, aws_region: str) -> Any:
    """A client of it."""
    return boto3.client("secretsmanager", **service.client_kwargs(aws_region))


def _answers(service: AwsService) -> bool:
    try:
        secrets_client(service, "us-east-2").list_secrets()
    except (BotoCoreError, ClientError):
        return False
    return True
