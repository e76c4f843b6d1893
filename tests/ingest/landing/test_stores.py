"""The promises of ObjectStore, over memory and over the real S3; and what a store that fails is called."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from contracts.errors import ObjectConflict, SinkUnavailable
from contracts.settings import RegionSettings
from ingest.landing import FolderStore, MemoryStore, ObjectStore, Prefixed, S3Store

KINDS = ["memory", "folder", "prefixed", "s3"]


@contextlib.asynccontextmanager
async def opened(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[ObjectStore]:
    store: ObjectStore
    if kind == "s3":
        store = S3Store.of(request.getfixturevalue("stack").settings("eu"))
    elif kind == "folder":
        store = FolderStore(request.getfixturevalue("tmp_path"))
    else:
        store = MemoryStore() if kind == "memory" else Prefixed(MemoryStore(), "applications/mine/")
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_keeps_its_promises(kind: str, request: pytest.FixtureRequest) -> None:
    prefix = f"landing/test-{uuid4().hex}/"

    async def scenario() -> None:
        async with opened(kind, request) as store:
            await store.put_new(prefix + "b", b"two")
            await store.put_new(prefix + "a", b"one")
            assert await store.get(prefix + "a") == b"one"
            assert [key async for key in store.list(prefix)] == [prefix + "a", prefix + "b"]
            await store.put_new(prefix + "a", b"one")
            with pytest.raises(ObjectConflict):
                await store.put_new(prefix + "a", b"other")
            assert await store.get(prefix + "a") == b"one"
            await store.delete(prefix + "a")
            await store.delete(prefix + "a")
            with pytest.raises(KeyError):
                await store.get(prefix + "a")
            assert [key async for key in store.list(prefix)] == [prefix + "b"]

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", KINDS)
def test_of_writers_that_race_for_a_key_one_wins_and_nothing_is_mixed(
    kind: str, request: pytest.FixtureRequest
) -> None:
    key = f"landing/test-{uuid4().hex}"

    async def scenario() -> None:
        async with opened(kind, request) as store:
            bodies = [bytes([number]) * 100_000 for number in range(6)]
            results = await asyncio.gather(*(store.put_new(key, body) for body in bodies), return_exceptions=True)
            won = [body for body, result in zip(bodies, results, strict=True) if result is None]
            assert len(won) == 1
            assert all(isinstance(result, ObjectConflict) for result in results if result is not None)
            assert await store.get(key) == won[0]

    asyncio.run(scenario())


def test_more_keys_than_a_page_are_all_listed(stack: Any) -> None:
    prefix = f"landing/test-{uuid4().hex}/"

    async def scenario() -> None:
        store = S3Store.of(stack.settings("eu"))
        keys = [f"{prefix}{number:04d}" for number in range(1030)]
        for start in range(0, len(keys), 100):
            await asyncio.gather(*(store.put_new(key, b"") for key in keys[start : start + 100]))
        assert [key async for key in store.list(prefix)] == keys
        await asyncio.gather(*(store.delete(key) for key in keys))
        await store.close()

    asyncio.run(scenario())


def _failing(settings: RegionSettings, **changed: Any) -> S3Store:
    s3 = settings.s3.model_copy(update=changed)
    return S3Store.of(settings.model_copy(update={"s3": s3}), timeout_s=2, attempts=2)


def test_a_store_that_is_down_or_denies_says_so(stack: Any) -> None:
    settings = stack.settings("eu")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        down = _failing(settings, endpoint=f"http://127.0.0.1:{unused.getsockname()[1]}")
    us = stack.settings("us").s3
    denied = _failing(settings, access_key=us.access_key, secret_key=us.secret_key)

    async def scenario() -> None:
        with pytest.raises(SinkUnavailable, match=r"bucket lake-eu: cannot write.*does not answer"):
            await down.put_new("landing/x", b"x")
        with pytest.raises(SinkUnavailable, match=r"bucket lake-eu: cannot write.*denies"):
            await denied.put_new("landing/x", b"x")
        with pytest.raises(SinkUnavailable, match=r"bucket lake-eu: cannot list"):
            [key async for key in denied.list("landing/")]
        await down.close()
        await denied.close()

    asyncio.run(scenario())


class _Flaky:
    """boto3's client that loses the first answer, after the object was put."""

    def __init__(self, client: Any) -> None:
        self._client, self.lost = client, 0

    def put_object(self, **kwargs: Any) -> Any:
        answer = self._client.put_object(**kwargs)
        if not self.lost:
            self.lost += 1
            raise TimeoutError("answer lost")
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def test_a_put_whose_answer_was_lost_succeeds_when_repeated(stack: Any) -> None:
    key = f"landing/test-{uuid4().hex}"

    async def scenario() -> None:
        real = S3Store.of(stack.settings("eu"))
        flaky = _Flaky(real._client)
        await S3Store(flaky, "lake-eu").put_new(key, b"once")
        assert flaky.lost == 1
        assert await real.get(key) == b"once"
        await real.close()

    asyncio.run(scenario())


def test_a_part_of_a_store_sees_nothing_else_of_it() -> None:
    async def scenario() -> None:
        whole = MemoryStore()
        await whole.put_new("landing/telemetry/a", b"the region's")
        mine = Prefixed(whole, "applications/mine/")
        await mine.put_new("landing/telemetry/b", b"mine")
        assert [key async for key in mine.list("landing/")] == ["landing/telemetry/b"]
        assert [key async for key in whole.list("landing/")] == ["landing/telemetry/a"]
        await mine.delete("landing/telemetry/a")
        assert await whole.get("landing/telemetry/a") == b"the region's"

    asyncio.run(scenario())


def test_a_folder_that_cannot_be_written_is_an_unavailable_store(tmp_path: Path) -> None:
    (tmp_path / "landing").write_bytes(b"a file where a folder belongs")
    with pytest.raises(SinkUnavailable, match=str(tmp_path)):
        asyncio.run(FolderStore(tmp_path).put_new("landing/a", b""))
