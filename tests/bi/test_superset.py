"""`fleetlake bi up`: a real Superset, asked by its own API for the dashboards that the files name."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bi.dashboard import dashboards
from bi.server import ROOT
from tests.builders.command import fleetlake, reported

REGION = "ap"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not (ROOT / ".venv-bi" / "installed").exists(), reason="Superset is not installed: 'make bi-venv' installs it"
    ),
]


@pytest.fixture(scope="module")
def desk(stack) -> Iterator[dict]:
    """Superset of a region whose marts may be empty."""
    yield reported(stack.state, "bi", "up", "--region", REGION)
    assert fleetlake(stack.state, "bi", "down").returncode == 0


@pytest.fixture(scope="module")
def api(desk: dict) -> Iterator[httpx.Client]:
    login = json.loads(Path(desk["password_file"]).read_text(encoding="utf-8"))
    asked = {"username": login["user"], "password": login["password"], "provider": "db", "refresh": False}
    with httpx.Client(base_url=desk["url"], timeout=120) as client:
        token = client.post("/api/v1/security/login", json=asked).raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def test_superset_has_the_dashboards_of_the_files(desk: dict, api: httpx.Client) -> None:
    found = api.get("/api/v1/dashboard/").raise_for_status().json()["result"]
    assert {one["slug"] for one in found} == {
        one.slug if one.scope == "world" else f"{REGION}-{one.slug}" for one in dashboards()
    }
    charts = api.get("/api/v1/chart/", params={"q": "(page_size:100)"}).raise_for_status().json()
    assert charts["count"] == sum(len(one.chart) for one in dashboards())
    assert set(desk["dashboards"]) == {one.title for one in dashboards()}


def test_it_knows_the_readers_of_its_region_and_of_world_alone(api: httpx.Client) -> None:
    found = api.get("/api/v1/database/").raise_for_status().json()["result"]
    assert {one["database_name"] for one in found} == {f"fleet_{REGION}", "fleet_world"}


def test_its_page_may_ask_no_other_host(desk: dict) -> None:
    page = httpx.get(f"{desk['url']}/login/", timeout=120)
    allowed = page.headers["content-security-policy"]
    assert page.status_code == 200
    assert "default-src 'self'" in allowed and "http" not in allowed


def test_up_again_replaces_and_doubles_nothing(stack, desk: dict, api: httpx.Client) -> None:
    before = api.get("/api/v1/chart/").raise_for_status().json()["count"]
    again = reported(stack.state, "bi", "up", "--region", REGION)
    assert again["url"] == desk["url"]
    assert api.get("/api/v1/chart/").raise_for_status().json()["count"] == before
