"""The world: released aggregates for tokens of it, from a process that knows no region's store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.serving import DAY, Service

SPAN = {"from": f"{DAY:%Y-%m-%d}", "to": "2026-11-30"}


@pytest.fixture(scope="module")
def world(serving_state: Path) -> Iterator[Service]:
    made = Service(serving_state, "world")
    try:
        yield made.start().ready()
    finally:
        made.kill()


def test_released_days_come_page_by_page(world: Service) -> None:
    seen, after = [], None
    with world.client(world.token()) as client:
        while True:
            page = client.get(
                "/v1/world/days", params={**SPAN, "limit": 4} | ({"after": after} if after else {})
            ).json()
            seen += [(one["day"], one["region"]) for one in page["items"]]
            if (after := page["next"]) is None:
                break
    assert seen == [(day, region) for day in ("2026-11-02", "2026-11-03") for region in ("af", "eu", "us")]


def test_a_token_of_a_region_alone_gets_nothing(world: Service) -> None:
    with world.client(world.token("*", regions=["eu"])) as client:
        assert client.get("/v1/world/days", params=SPAN).status_code == 403
    with world.client(world.token("*")) as client:
        assert client.get("/v1/live").status_code == 404
        assert client.get("/v1/world/days", params={**SPAN, "device_type": "ship"}).status_code == 400
