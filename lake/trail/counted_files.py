"""Objects opened for reading, with every byte that is fetched counted."""

import io
import threading
from collections import OrderedDict
from math import inf
from time import monotonic
from typing import Any

import pyarrow as pa
from pyarrow import fs
from pyiceberg.io import FileIO, InputFile, OutputFile
from pyiceberg.typedef import Properties

from contracts.errors import StoreUnavailable
from contracts.settings import RegionSettings

_CONNECT_S = 5


class Account:
    """Counts what a query reads, and says which store it waits for and since when. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.files = 0
        self.bytes = 0
        self.store = ""
        self.heard_s = inf
        """When a store answered last (monotonic); infinity while none is waited for."""
        self.given_up = False
        """Nobody waits for the answer any more."""

    def asks(self, store: str) -> None:
        """From now on the query waits for this store. Raises StoreUnavailable where it was given up."""
        if self.given_up:
            raise StoreUnavailable(f"the query was given up while {self.store} did not answer")
        self.store, self.heard_s = store, monotonic()

    def computes(self) -> None:
        """From now on the query waits for no store."""
        self.heard_s = inf

    def opened(self) -> None:
        """One more data file was opened."""
        with self._lock:
            self.files += 1

    def read(self, size: int) -> None:
        """So many more bytes were fetched."""
        with self._lock:
            self.bytes += size
            self.heard_s = monotonic()


class CountedFile:
    """A readable, seekable file that books what is read from it."""

    def __init__(self, file: Any, account: Account) -> None:
        self._file = file
        self._account = account

    def read(self, size: int | None = None) -> bytes:
        """At most `size` bytes from here on, all of them without a size."""
        data: bytes = self._file.read(size) if size is not None and size >= 0 else self._file.read()
        self._account.read(len(data))
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to `offset`."""
        position: int = self._file.seek(offset, whence)
        return position

    def tell(self) -> int:
        """Where the next read starts."""
        position: int = self._file.tell()
        return position

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return bool(self._file.closed)

    def close(self) -> None:
        """Let go of the object."""
        self._file.close()

    def readable(self) -> bool:
        """Always."""
        return True

    def writable(self) -> bool:
        """Never."""
        return False

    def seekable(self) -> bool:
        """Always."""
        return True

    def __enter__(self) -> "CountedFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def object_store(settings: RegionSettings) -> fs.S3FileSystem:
    """The region's object store, to read. A request that is not answered within `store_timeout_s` fails."""
    return fs.S3FileSystem(
        connect_timeout=_CONNECT_S,
        request_timeout=settings.store_timeout_s,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=3),
        **settings.s3.filesystem_kwargs(settings.row.aws_region),
    )


def open_counted(store: fs.FileSystem, path: str, account: Account) -> pa.PythonFile:
    """The object at `path` (bucket/key, or s3://bucket/key), to read at random, booked on `account`."""
    return pa.PythonFile(CountedFile(store.open_input_file(path.removeprefix("s3://")), account), mode="r")


class KeptFiles:
    """Small files that are never written twice, such as manifests: kept once read, the least used forgotten first.

    Safe to share between threads.
    """

    MOST_BYTES = 64 * 2**20

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bodies: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def get(self, location: str) -> bytes | None:
        """The file, where it is kept."""
        with self._lock:
            body = self._bodies.get(location)
            if body is not None:
                self._bodies.move_to_end(location)
            return body

    def keep(self, location: str, body: bytes) -> None:
        """Keep the file, unless it is large."""
        if len(body) > self.MOST_BYTES // 8:
            return
        with self._lock:
            self._bytes += len(body) - len(self._bodies.pop(location, b""))
            self._bodies[location] = body
            while self._bytes > self.MOST_BYTES:
                self._bytes -= len(self._bodies.popitem(last=False)[1])


class CountedIO(FileIO):
    """pyiceberg's way to files, with its reads booked. Avro files, which are Iceberg's own, are kept in `kept`."""

    def __init__(self, store: fs.FileSystem, account: Account, properties: Properties, kept: KeptFiles) -> None:
        super().__init__(properties)
        self._store = store
        self._account = account
        self._kept = kept

    def new_input(self, location: str) -> InputFile:
        """A file to read."""
        return _CountedInput(location, self._store, self._account, self._kept)

    def new_output(self, location: str) -> OutputFile:
        """A spot query writes nothing."""
        raise PermissionError(f"a spot query does not write: {location}")

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """A spot query deletes nothing."""
        raise PermissionError(f"a spot query does not delete: {location}")


class _CountedInput(InputFile):
    def __init__(self, location: str, store: fs.FileSystem, account: Account, kept: KeptFiles) -> None:
        super().__init__(location)
        self._store = store
        self._account = account
        self._kept = kept

    def __len__(self) -> int:
        return int(self._store.get_file_info(self.location.removeprefix("s3://")).size)

    def exists(self) -> bool:
        """Whether the object is there."""
        return bool(self._store.get_file_info(self.location.removeprefix("s3://")).is_file)

    def open(self, seekable: bool = True) -> Any:
        """The object, to read."""
        if not self.location.endswith(".avro"):
            return self._opened()
        body = self._kept.get(self.location)
        if body is None:
            with self._opened() as file:
                body = file.read()
            self._kept.keep(self.location, body)
        return io.BytesIO(body)

    def _opened(self) -> CountedFile:
        return CountedFile(self._store.open_input_file(self.location.removeprefix("s3://")), self._account)
