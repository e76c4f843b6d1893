"""Redirects what Spark, dbt and the JVM print, so that a command's own output holds nothing else."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def output_redirected_to(log: Path) -> Iterator[TextIO]:
    """Redirect stdout and stderr of this process and its children to `log`; yields the original standard error.

    It duplicates file descriptors, since a JVM does not write through sys.stdout.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with log.open("ab") as file, os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8") as stderr:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield stderr
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, before in zip((1, 2), kept, strict=True):
                os.dup2(before, descriptor)
                os.close(before)
