"""A stack of their own: counts over a whole region must not meet what other tests put there."""

from collections.abc import Iterator

import pytest

import stack as embedded
from tests.builders.stack import state_parent
from tests.conftest import RunningStack


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    """All four services, with every region provisioned and empty."""
    with state_parent() as folder:
        try:
            embedded.up(folder / "state")
            yield RunningStack(folder / "state")
        finally:
            embedded.down(folder / "state")
