"""How functions become machine code, and where that is kept."""

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import config

_F = TypeVar("_F", bound=Callable[..., Any])
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False, "_nrt": False}
"""`_nrt` off: nothing is allocated here, and counting references to each array at each use took three times as long."""

_HERE = Path(__file__).parent


def helper(function: _F) -> _F:
    """A function that compiled ones call."""
    return cast(_F, numba.njit(**_OPTIONS)(function))


def part(function: _F) -> _F:
    """A function that becomes part of the one that calls it: one that takes many arrays, which would be copied."""
    return cast(_F, numba.njit(inline="always", **_OPTIONS)(function))


def entry(function: _F) -> _F:
    """A function that Python calls. It is compiled once for a machine's kind of processor, some seconds.

    numba looks for a change in the function's own file only, so it is given a folder that is named for all of them.
    Where none can be written, each process compiles for itself.
    """
    folder = _HERE / "__pycache__" / f"machine-{_fingerprint()}"
    before: str = config.CACHE_DIR  # type: ignore[attr-defined]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config.CACHE_DIR = before or str(folder)  # type: ignore[attr-defined]
        return cast(_F, numba.njit(cache=True, **_OPTIONS)(function))
    except (OSError, RuntimeError):
        return helper(function)
    finally:
        config.CACHE_DIR = before  # type: ignore[attr-defined]


def _fingerprint() -> str:
    digest = blake2b(numba.__version__.encode(), digest_size=8)
    for file in sorted(_HERE.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
