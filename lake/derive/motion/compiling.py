"""How the rules of motion are compiled to machine code. Without numba they run as the Python that they are."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

try:
    import llvmlite.binding as llvm
    import numba
    from numba.core import config
    from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator
except ImportError:  # pragma: no cover - a session whose Python has no numba
    numba = None  # type: ignore[assignment]

_F = TypeVar("_F", bound=Callable[..., Any])
_HERE = Path(__file__).parent
GENERIC = "generic"
"""Name of the processor whose code runs on every processor of an architecture."""
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
    """A function that Python calls. It is compiled once for each kind of processor, which takes seconds.

    Its machine code is kept in a folder that is named by a hash of all files of this package and by the processor:
    below NUMBA_CACHE_DIR, or beside the sources. A folder that has the function is used also where it cannot be
    written, and on whatever path the sources are: this processor's own before the one for any processor, which the
    package of a job brings. If no folder has it and none can be written, each process compiles for itself.
    """
    if numba is None:
        return function
    made = numba.njit(**_OPTIONS)(function)
    folder = _folder_of(function)
    if folder is not None:
        made._cache = _cache_in(folder, function)
    return cast(_F, made)


def _cache_in(folder: Path, function: Callable[..., Any]) -> Any:
    class Locator(UserProvidedCacheLocator):
        """That folder, whether it can be written or not."""

        def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
            self._py_file = py_file
            self._lineno = py_func.__code__.co_firstlineno
            self._cache_path = str(folder)

        @classmethod
        def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "Locator":
            return cls(py_func, py_file)

        def get_source_stamp(self) -> str:
            return _fingerprint()

    class Impl(CompileResultCacheImpl):
        _locator_classes = [Locator]  # noqa: RUF012 - as in numba

    class Cache(FunctionCache):
        _impl_class = Impl

        def save_overload(self, sig: Any, data: Any) -> None:
            with suppress(OSError):
                super().save_overload(sig, data)  # type: ignore[no-untyped-call]

    return Cache(function)  # type: ignore[no-untyped-call]


def _folder_of(function: Callable[..., Any]) -> Path | None:
    """The first folder that has the function's code, else the first that can be written."""
    index = f"{Path(function.__code__.co_filename).stem}.{function.__qualname__}-*.nbi"
    for root in _roots():
        if any((root / _folder_name()).glob(index)):
            return root / _folder_name()
    for root in _roots():
        with suppress(OSError):
            folder = root / _folder_name()
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
    return None


def _compile_for_any_where_only_that_is_kept() -> None:
    """Have numba use the code for any processor, where there is some and none for this one.

    numba settles on a processor with its first function.
    """
    before = config.CPU_NAME, config.CPU_FEATURES  # type: ignore[attr-defined]
    if before[0] is not None or _is_kept():
        return
    config.CPU_NAME, config.CPU_FEATURES = GENERIC, ""  # type: ignore[attr-defined]
    if not _is_kept():
        config.CPU_NAME, config.CPU_FEATURES = before  # type: ignore[attr-defined]


def _is_kept() -> bool:
    return any(True for root in _roots() for _ in (root / _folder_name()).glob("*.nbi"))


def _folder_name() -> str:
    return f"machine-{_fingerprint()}-{_processor()}"


def _roots() -> Iterator[Path]:
    if config.CACHE_DIR:  # type: ignore[attr-defined]
        yield Path(config.CACHE_DIR)  # type: ignore[attr-defined]
    yield _HERE / "__pycache__"


def _processor() -> str:
    """The processor to compile for, as numba is told, or this one."""
    name = str(config.CPU_NAME or llvm.get_host_cpu_name())  # type: ignore[attr-defined]
    if name == GENERIC:
        return GENERIC
    features = config.CPU_FEATURES or llvm.get_host_cpu_features().flatten()  # type: ignore[attr-defined]
    return blake2b(f"{name} {features}".encode(), digest_size=4).hexdigest()


@cache
def _fingerprint() -> str:
    digest = blake2b(numba.__version__.encode(), digest_size=8)
    for file in sorted(_HERE.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


if numba is not None:
    _compile_for_any_where_only_that_is_kept()
