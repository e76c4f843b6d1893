"""Clients of the stack's own services, with short timeouts: they are all on this machine."""

import os
import threading
from functools import cache
from typing import Any

from contracts.ports import HOST
from stack.credentials import Keys

_NO_REGION = "us-east-1"
"""SeaweedFS has no regions, but a signature has to name one."""
_UNSET = (None, None, None, None)
_making = threading.Lock()


def endpoint(port: int) -> str:
    """The URL of an HTTP service of the stack."""
    return f"http://{HOST}:{port}"


def aws_client(service: str, port: int, keys: Keys, aws_region: str = _NO_REGION, *, timeout_s: float = 10.0) -> Any:
    """A botocore client that ignores the caller's AWS configuration and proxies. Clients may be shared."""
    from botocore.config import Config

    config = Config(
        connect_timeout=2,
        read_timeout=timeout_s,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
        proxies={},
    )
    with _making:
        return _session().create_client(
            service,
            region_name=aws_region,
            endpoint_url=endpoint(port),
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
            config=config,
        )


def s3_client(port: int, keys: Keys, *, timeout_s: float = 10.0) -> Any:
    """A client of the S3 service."""
    return aws_client("s3", port, keys, timeout_s=timeout_s)


@cache
def _session() -> Any:
    """One shared session: loading the services' models takes longer than any request made here."""
    from botocore.session import Session

    nowhere = (None, None, os.devnull, None)
    return Session(session_vars={"profile": _UNSET, "config_file": nowhere, "credentials_file": nowhere})
