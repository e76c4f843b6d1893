"""How functions are compiled to machine code, and where the code is kept."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

import llvmlite.binding as llvm
import numba
from numba.core import config
from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator

_F = TypeVar("_F", bound=Callable[..., Any])
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False, "_nrt": False}
"""`_nrt` off: nothing is allocated in compiled code, and reference counts at each use of an array tripled its time."""

_HERE = Path(__file__).parent
GENERIC = "generic"
"""Name of the processor whose code runs on every processor of an architecture."""


def helper(function: _F) -> _F:
    """A function that only compiled functions call."""
    return cast(_F, numba.njit(**_OPTIONS)(function))


def inlined(function: _F) -> _F:
    """A function that is inlined into its caller: for tuples of arrays, whose fields a call would copy one by one."""
    return cast(_F, numba.njit(inline="always", **_OPTIONS)(function))


def entry(function: _F) -> _F:
    """A function that Python calls. It is compiled once for each kind of processor, which takes seconds.

    Its machine code is kept in a folder that is named by a hash of all files of this package, and by the processor:
    below NUMBA_CACHE_DIR, beside the sources, or in the user's cache. A folder that has the function is used also where
    it cannot be written, this processor's own before the one for any processor. Where no folder has it and none can be
    written, each process compiles for itself.
    """
    folder = _folder_of(function)
    made = numba.njit(**_OPTIONS)(function)
    if folder is not None:
        made._cache = _Cache(folder, function)
    return cast(_F, made)


class _Cache(FunctionCache):
    """The machine code of a function in one folder."""

    def __init__(self, folder: Path, function: Callable[..., Any]) -> None:
        class Locator(UserProvidedCacheLocator):
            """That folder, whether it can be written or not, on whatever path the sources are."""

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

        self._impl_class = Impl
        super().__init__(function)  # type: ignore[no-untyped-call]

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code, where that can be done."""
        with suppress(OSError):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]


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
    with suppress(RuntimeError):  # a user without a home
        yield Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fleetlake"


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


_compile_for_any_where_only_that_is_kept()
