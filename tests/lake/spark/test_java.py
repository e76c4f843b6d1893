"""Which Java Spark gets, and what someone with the wrong one is told."""

import subprocess
from pathlib import Path

import psutil
import pytest

from contracts.errors import WrongJava
from lake.spark.java import archives, java_home


def fake_java(home: Path, script: str) -> Path:
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    return home


@pytest.mark.parametrize(
    ("version", "major"), [("1.8.0_392", 8), ("11.0.21", 11), ("16", 16)], ids=["java 8", "java 11", "java 16"]
)
def test_an_old_java_is_refused_with_what_was_found_and_what_to_do(tmp_path, version, major):
    home = fake_java(tmp_path / "jdk", f"""echo 'openjdk version "{version}" 2020-01-01' >&2""")
    with pytest.raises(WrongJava) as refused:
        java_home(tmp_path / "state", {"JAVA_HOME": str(home)})
    assert f"{home} is Java {major}" in str(refused.value)
    assert "17 or newer" in str(refused.value)
    assert "set JAVA_HOME" in str(refused.value)


def test_a_new_java_of_the_machine_is_used(tmp_path):
    home = fake_java(tmp_path / "jdk", """echo 'openjdk version "21.0.2" 2024-01-16' >&2""")
    assert java_home(tmp_path / "state", {"JAVA_HOME": str(home)}) == home


@pytest.mark.parametrize("script", ["exit 3", "echo no version here"])
def test_a_java_home_that_is_no_java_is_refused(tmp_path, script):
    home = fake_java(tmp_path / "jdk", script)
    with pytest.raises(WrongJava, match="JAVA_HOME"):
        java_home(tmp_path / "state", {"JAVA_HOME": str(home)})


def test_a_java_home_without_java_is_refused(tmp_path):
    with pytest.raises(WrongJava, match=r"there is no .*bin/java"):
        java_home(tmp_path / "state", {"JAVA_HOME": str(tmp_path)})


def test_the_bundled_java_starts_although_it_lacks_the_module_that_spark_asks_for(tmp_path):
    home = java_home(tmp_path, {})
    asked = [str(home / "bin" / "java"), "--add-modules=jdk.incubator.vector", "-Dwith=two words", "-version"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert 'version "21' in answer.stderr
    assert java_home(tmp_path, {}) == home


def test_the_class_path_has_each_file_once_and_none_that_is_missing(tmp_path):
    for name in ("one.jar", "all/two.jar", "all/three.jar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    asked = f"{tmp_path}/one.jar:nowhere/*:{tmp_path}/gone:{tmp_path}/all/two.jar:{tmp_path}/all/*"
    java = java_home(tmp_path / "state", {}) / "bin" / "java"

    answer = subprocess.run(
        [str(java), "-cp", asked, "-XshowSettings:properties", "-version"], capture_output=True, text=True, check=True
    )

    lines = [line.strip() for line in answer.stderr.splitlines()]
    start = lines.index(f"java.class.path = {tmp_path}/one.jar")
    assert lines[start + 1 : start + 3] == [f"{tmp_path}/all/two.jar", f"{tmp_path}/all/three.jar"]
    assert "=" in lines[start + 3]


def test_spark_s_classes_come_from_the_archive(spark):
    """Java starts with `-Xshare:on` only where the archive fits it and its class path."""
    if not all(archive.exists() for archive in archives()):
        pytest.skip("no archive of classes: `make install` makes it, or `python -m lake.spark.class_archive`")
    (java,) = [child for child in psutil.Process().children(recursive=True) if child.name() == "java"]
    words = java.cmdline()
    options = words[: words.index("org.apache.spark.deploy.SparkSubmit")]
    path = options.index("-cp") + 1
    reversed_path = ":".join(reversed(options[path].split(":")))

    def starts(*with_options: str) -> bool:
        asked = [*with_options, "-Xshare:on", "-version"]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    assert starts(*options)
    assert not starts(*options[:path], reversed_path, *options[path + 1 :])
