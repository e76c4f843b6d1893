"""How functions are compiled to machine code, and where numba caches it."""

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import config

_F = TypeVar("_F", bound=Callable[..., Any])
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False, "_nrt": False}
"""`_nrt` off: nothing is allocated in compiled code, and reference counts at each use of an array tripled its time."""

_HERE = Path(__file__).parent


def helper(function: _F) -> _F:
    """A function that only compiled functions call."""
    return cast(_F, numba.njit(**_OPTIONS)(function))


def inlined(function: _F) -> _F:
    """A function that is inlined into its caller: for tuples of arrays, whose fields a call would copy one by one."""
    return cast(_F, numba.njit(inline="always", **_OPTIONS)(function))


def entry(function: _F) -> _F:
    """A function that Python calls. It is compiled once for each kind of processor, which takes seconds.

    numba invalidates its cache only when the function's own file changes, so the cache folder is named by a hash of
    all files of this package. If the folder cannot be written, each process compiles for itself.
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
