"""A Spark standalone cluster of two workers on this machine, which has nothing of the project but a package."""

import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyspark

from contracts.ports import HOST, free_port
from lake.jobs import Job, encode
from lake.package.submit import package_settings
from lake.spark.java import java_home
from tests.builders.stack import eventually

HOME = Path(pyspark.__file__).parent
"""Spark itself, as pip installs it: start scripts, jars, and pyspark in an archive of its own."""
_MASTER, _WORKER = "org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker"
_EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend"
_SIZES = {"spark.driver.memory": "768m", "spark.executor.memory": "768m", "spark.executor.instances": "2"}
_FRUGAL = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xss4m"
_CLEANING = "-Dspark.worker.cleanup.interval=15 -Dspark.worker.cleanup.appDataTtl=15"
"""Each executor unpacks the package, some 600 MB: what an ended job leaves is removed within seconds."""
_LOCAL = {
    "spark.driver.host": HOST,
    "spark.driver.bindAddress": HOST,
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.extraJavaOptions": _FRUGAL,
    "spark.executor.extraJavaOptions": _FRUGAL,
}


class SparkCluster:
    """A master and two workers. Each job is submitted from a folder where its package is unpacked, as EMR does it."""

    def __init__(self, folder: Path, package: Path) -> None:
        self._folder, self._package, self._unpacked = folder, package, folder / "unpacked"
        self.url = f"spark://{HOST}:{free_port()}"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "JAVA_HOME": str(java_home(folder)),
            "SPARK_HOME": str(HOME),
            "SPARK_LOCAL_IP": HOST,
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": _FRUGAL,
            "SPARK_WORKER_OPTS": _CLEANING,
            "SPARK_LOCAL_DIRS": str(folder / "scratch"),
            "PYSPARK_PYTHON": str(bare_python(folder)),
        }

    def start(self) -> None:
        """Start the master, then both workers; wait until it has them."""
        for name in ("rooms", "dependencies"):
            with tarfile.open(self._package / f"{name}.tar.gz") as archive:
                archive.extractall(self._unpacked / name, filter="data")
        web = free_port()
        port = self.url.rpartition(":")[2]
        self._launch("master", _MASTER, "--host", HOST, "--port", port, "--webui-port", str(web))
        for name in ("one", "two"):
            words = ("--host", HOST, "--cores", "1", "--memory", "1g", "--webui-port", str(free_port()))
            self._launch(name, _WORKER, *words, "--work-dir", str(self._folder / name), self.url)
        eventually(lambda: _alive_workers(web) == 2, within_s=120)

    def stop(self) -> None:
        """End every process that was started here."""
        for process in self._processes:
            for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
                child.kill()
            process.kill()
            process.wait()

    def submit(self, job: Job, environment: Mapping[str, str]) -> "Submission":
        """Start a job: its driver here, its tasks in the workers."""
        place = Path(self._folder, f"job-{len(self._processes)}")
        place.mkdir()
        for name in ("rooms", "dependencies"):
            (place / name).symlink_to(self._unpacked / name)
        main = shutil.copy(self._package / "main.py", place)
        settings = {**package_settings(str(self._package), with_s3a=True), **_SIZES, **_LOCAL}
        confs = [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
        words = [str(HOME / "bin/spark-submit"), "--master", self.url, *confs, str(main), "--job", encode(job)]
        log = place / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                words, cwd=place, env=self._environment | environment, stdout=output, stderr=output
            )
        self._processes.append(process)
        return Submission(process, log)

    def executors(self) -> list[psutil.Process]:
        """The processes that run tasks now."""
        return [
            child
            for process in self._processes
            if process.poll() is None
            for child in psutil.Process(process.pid).children(recursive=True)
            if _EXECUTOR in _words(child)
        ]

    def _launch(self, name: str, kind: str, *words: str) -> None:
        with (self._folder / f"{name}.log").open("wb") as output:
            self._processes.append(
                subprocess.Popen(
                    [str(HOME / "bin/spark-class"), kind, *words],
                    cwd=self._folder,
                    env=self._environment,
                    stdout=output,
                    stderr=output,
                )
            )


class Submission:
    """A job that was submitted."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process, self._log = process, log

    def wait(self, within_s: float = 900) -> int:
        """Its exit code."""
        return self._process.wait(timeout=within_s)

    def kill(self) -> None:
        """Kill -9 the driver: Python and its JVM."""
        for process in (*psutil.Process(self._process.pid).children(recursive=True), self._process):
            process.kill()
        self._process.wait()

    @property
    def log(self) -> str:
        """What it printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")


@contextmanager
def spark_cluster(folder: Path, package: Path) -> Iterator[SparkCluster]:
    """A cluster that runs while inside."""
    cluster = SparkCluster(folder, package)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def bare_python(folder: Path) -> Path:
    """A Python of this version that has its standard library and nothing else."""
    words: Sequence[str] = [sys.executable, "-m", "venv", "--without-pip", str(folder / "bare")]
    subprocess.run(words, check=True, env={"PATH": os.environ["PATH"]})
    return folder / "bare" / "bin" / "python"


def _alive_workers(web: int) -> int:
    import json

    try:
        with urllib.request.urlopen(f"http://{HOST}:{web}/json/", timeout=5) as answer:
            return int(json.load(answer)["aliveworkers"])
    except OSError:
        return 0


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
