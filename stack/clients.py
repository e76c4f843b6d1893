"""Clients of the stack's own services, with short timeouts: they are all on this machine."""

from typing import Any

from stack.credentials import Keys
from stack.ports import HOST

_NO_REGION = "us-east-1"
"""SeaweedFS has no regions, but a signature names one."""


def endpoint(port: int) -> str:
    """The URL of an HTTP service of the stack."""
    return f"http://{HOST}:{port}"


def aws_client(service: str, port: int, keys: Keys, aws_region: str = _NO_REGION, *, timeout_s: float = 10.0) -> Any:
    """A boto3 client that never looks at the caller's own AWS configuration."""
    import boto3
    from botocore.config import Config

    session: Any = boto3.session.Session(aws_access_key_id=keys.access_key, aws_secret_access_key=keys.secret_key)
    config = Config(
        connect_timeout=2,
        read_timeout=timeout_s,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
    )
    return session.client(service, region_name=aws_region, endpoint_url=endpoint(port), config=config)


def s3_client(port: int, keys: Keys) -> Any:
    """A client of the S3 service."""
    return aws_client("s3", port, keys)
