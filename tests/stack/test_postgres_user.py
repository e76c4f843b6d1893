"""The system user of Postgres, on a machine that has none yet."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from stack import postgres_user


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("useradd"), reason="only root adds users, here with useradd")
def test_stacks_that_start_at_once_agree_on_one_new_user(monkeypatch):
    monkeypatch.setattr(postgres_user, "USER", f"fleetlake-t{os.getpid()}")
    try:
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(lambda _: postgres_user.server_user(), range(6)))
    finally:
        subprocess.run(["userdel", postgres_user.USER], check=False, capture_output=True)
    assert len(set(found)) == 1
    assert found[0] is not None
