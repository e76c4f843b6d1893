"""A prepared manifest is made anew when the project changes, a model that is taken out of it included."""

import os
from pathlib import Path

import pytest

from marts import manifests

BEFORE, PREPARED, AFTER = 1_000, 2_000, 3_000


@pytest.fixture
def project(tmp_path: Path, monkeypatch) -> Path:
    """A project of two models, older than its manifest; `prepare` writes into the manifest how often it ran."""
    folder = tmp_path / "models" / "marts"
    manifest = tmp_path / "target" / "eu" / "manifest.json"
    for file in (folder / "trip.sql", folder / "region_day.sql", tmp_path / "dbt_project.yml", manifest):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    for one in tmp_path.rglob("*"):
        os.utime(one, (BEFORE, BEFORE))
    os.utime(manifest, (PREPARED, PREPARED))
    monkeypatch.setattr(manifests, "PROJECT", tmp_path)
    monkeypatch.setattr(manifests, "manifest_path", lambda _: manifest)
    monkeypatch.setattr(manifests, "prepare", lambda _: manifest.write_text("anew", encoding="utf-8"))
    return folder


def test_a_manifest_younger_than_the_project_is_kept(project: Path) -> None:
    assert manifests.prepared("eu").read_text(encoding="utf-8") == ""


def test_a_changed_model_makes_it_anew(project: Path) -> None:
    os.utime(project / "trip.sql", (AFTER, AFTER))
    assert manifests.prepared("eu").read_text(encoding="utf-8") == "anew"


def test_a_model_that_is_taken_out_makes_it_anew(project: Path) -> None:
    (project / "region_day.sql").unlink()
    assert manifests.prepared("eu").read_text(encoding="utf-8") == "anew"
