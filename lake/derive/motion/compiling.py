"""How the rules of motion are compiled to machine code. Without numba they run as the Python that they are."""

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

try:
    import numba
    from numba.core import config
except ImportError:  # pragma: no cover - a session whose Python has no numba
    numba = None  # type: ignore[assignment]

_F = TypeVar("_F", bound=Callable[..., Any])
_HERE = Path(__file__).parent
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
"""Not `fastmath`: sums are taken in order of time, so that the same rows give the same bits."""
_INNER: dict[str, Any] = {**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Only compiled functions call these: what would take their arguments apart for Python is most of the compiling."""
_SCALAR: dict[str, Any] = {**_INNER, "_nrt": False}


def scalar(function: _F) -> _F:
    """A function that only compiled functions call and that makes no array or list: it counts no references."""
    return function if numba is None else cast(_F, numba.njit(**_SCALAR)(function))


def helper(function: _F) -> _F:
    """A function that only compiled functions call."""
    return function if numba is None else cast(_F, numba.njit(**_INNER)(function))


def entry(function: _F) -> _F:
    """A function that Python calls. It is compiled at its first call, which takes seconds, and cached.

    numba invalidates its cache only when the function's own file changes, so the cache folder is named by a hash of
    all files of this package. If the folder cannot be written, each process compiles for itself.
    """
    if numba is None:
        return function
    folder = _HERE / "__pycache__" / f"machine-{_fingerprint()}"
    before: str = config.CACHE_DIR  # type: ignore[attr-defined]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config.CACHE_DIR = before or str(folder)  # type: ignore[attr-defined]
        return cast(_F, numba.njit(cache=True, **_OPTIONS)(function))
    except (OSError, RuntimeError):
        return cast(_F, numba.njit(**_OPTIONS)(function))
    finally:
        config.CACHE_DIR = before  # type: ignore[attr-defined]


def _fingerprint() -> str:
    digest = blake2b(numba.__version__.encode(), digest_size=8)
    for file in sorted(_HERE.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
