"""Containerfiles: pinned bases, the role's extra in the lock's versions, no root, no write but to /state and /tmp."""

import re
from pathlib import Path

import pytest

from deploy.environment import IMAGES

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "images"


def instructions(image: str) -> list[str]:
    text = (FOLDER / f"{image}.Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_each_role_has_an_image_and_each_image_a_repository() -> None:
    assert {path.stem for path in FOLDER.glob("*.Containerfile")} == set(IMAGES)


@pytest.mark.parametrize("image", IMAGES)
def test_the_base_is_pinned_to_a_patch_and_both_stages_are_of_it(image: str) -> None:
    lines = instructions(image)
    assert re.fullmatch(r"ARG BASE=docker\.io/library/python:3\.1[1-3]\.\d+-slim-[a-z]+", lines[0])
    assert [line for line in lines if line.startswith("FROM")] == ["FROM ${BASE} AS made", "FROM ${BASE}"]


@pytest.mark.parametrize("image", IMAGES)
def test_it_installs_the_role_s_extra_in_the_versions_of_the_lock(image: str) -> None:
    (install,) = [line for line in instructions(image) if "pip install" in line]
    assert f".[{image}]" in install
    assert "--constraint /constraints.txt" in install


@pytest.mark.parametrize("image", IMAGES)
def test_the_process_is_no_root_and_may_write_state_and_tmp_alone(image: str) -> None:
    lines = instructions(image)
    assert "USER 10001:10001" in lines
    assert 'VOLUME ["/state", "/tmp"]' in lines
    assert lines.index("USER 10001:10001") > max(i for i, line in enumerate(lines) if line.startswith("COPY --from"))


def test_machine_code_of_the_readers_is_made_for_any_processor_in_the_consumer_s_image() -> None:
    assert "RUN python -m ingest.compile_readers --generic" in instructions("consumer")
    assert any(line.startswith("ENV NUMBA_CACHE_DIR=/opt/fleetlake/cache") for line in instructions("consumer"))


def test_what_stays_out_of_the_images_is_named() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", "tests", "build", ".venv*"} <= set(ignored)
