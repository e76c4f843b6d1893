"""npm's kinesis-local, started once for the tests of the stream."""

from collections.abc import Iterator

import pytest

from tests.builders.kinesis_local import kinesis_local


@pytest.fixture(scope="session")
def kinesis_local_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its endpoint; skips where node or npm is absent."""
    with kinesis_local(tmp_path_factory.mktemp("kinesis-local")) as url:
        yield url
