"""What the tests of the dbt project share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where dbt keeps what it made of the project: a module's runs need not parse it again."""
    return tmp_path_factory.mktemp("dbt")
