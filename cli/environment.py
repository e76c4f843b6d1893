"""Processes of one region: they get the environment of that region, and nothing of any other."""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec
import typer

from cli.child_processes import ChildProcesses
from contracts.environment import inherited
from contracts.errors import FleetlakeError
from contracts.regions import WORLD, find_region

ALL = "all"


class RegionRun(msgspec.Struct, frozen=True, kw_only=True):
    """How one region's process ended. `output` is its standard output, where captured."""

    region: str
    exit_code: int
    output: str = ""


def state_folder() -> Path:
    """The stack's state folder: FLEETLAKE_STATE, else .fleetlake here."""
    return Path(os.environ.get("FLEETLAKE_STATE") or ".fleetlake")


def stack_is_local() -> bool:
    """Whether the state folder has an embedded stack, up or down."""
    import stack

    try:
        return stack.known_site(state_folder()) is not None
    except FleetlakeError:
        return True


def enter_region(name: str, *, with_dagster: bool = False) -> None:
    """Make this process one of that region (or of `world`), `with_dagster` one that may record runs.

    Returns at once in a process that already is one, as on AWS, and sends its log lines to stderr. Otherwise this
    process is replaced by the same command with only that region's environment. Raises UnknownRegion, or StackDown
    where the stack is not up.
    """
    if os.environ.get("FLEETLAKE_REGION") == name:
        from contracts.logs import log_of_a_command

        log_of_a_command()
        return
    environment = process_environment(name) | (dagster_environment() if with_dagster else {})
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606


def dagster_environment() -> dict[str, str]:
    """What a process needs to record runs in the stack's Dagster."""
    import stack
    from orchestration.local.dagster_home import prepare_home

    return prepare_home(stack.dagster_environment(state_folder()))


def each_region(name_or_all: str) -> list[str]:
    """The named region, or every region of the table for `all`. Raises UnknownRegion.

    For `all`, regions added since the stack's last `up` are left out, with a message on standard error.
    """
    import stack

    regions = stack.known_regions(state_folder())
    if name_or_all != ALL:
        return [find_region(name_or_all, regions).name]
    new = stack.new_regions(state_folder())
    if len(new) == len(regions):
        return list(regions)
    for name in new:
        typer.secho(f"region {name} is left out: it is new; run 'fleetlake up'", err=True, fg=typer.colors.YELLOW)
    return [name for name in regions if name not in new]


def run_in_each_region(
    regions: Sequence[str],
    arguments: Sequence[str] | None = None,
    *,
    capture: bool = False,
    tuning: Mapping[str, Mapping[str, str]] | None = None,
) -> list[RegionRun]:
    """Run a fleetlake command for each region, in parallel processes.

    arguments: the command and its options without --region; by default those of this process.
    tuning: settings of each region's process, beside its environment.
    Output is printed line by line with the region in front; with `capture` standard output is returned instead.
    SIGTERM and Ctrl-C terminate the processes, and their last output is still returned.
    """
    words = _without_region(sys.argv[1:]) if arguments is None else list(arguments)
    own = tuning or {}
    environments = {region: {**process_environment(region), **own.get(region, {})} for region in regions}
    with ChildProcesses() as children:
        readers = [
            _OutputReader(region, children.start(words, region, environments[region]), capture=capture)
            for region in regions
        ]
        return [reader.wait() for reader in readers]


def exit_code_of(runs: Sequence[RegionRun]) -> int:
    """The exit code of a command that ran in several regions: the highest one; a signal counts as 1."""
    return max((run.exit_code if run.exit_code >= 0 else 1 for run in runs), default=0)


def process_environment(name: str, caller: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of a process of that region (or of `world`). Raises UnknownRegion or StackDown."""
    import stack

    kept = inherited(os.environ if caller is None else caller)
    if name == WORLD:
        return kept | stack.world_environment(state_folder())
    # An unknown region is misuse, whether the stack is up or down.
    known = find_region(name, stack.known_regions(state_folder()))
    return kept | stack.region_environment(state_folder(), known.name)


class _OutputReader:
    """Forwards or captures a process's output, line by line."""

    def __init__(self, region: str, process: "subprocess.Popen[str]", *, capture: bool) -> None:
        self._region, self._process = region, process
        self._kept: list[str] = []
        pairs = [(process.stdout, None if capture else sys.stdout), (process.stderr, sys.stderr)]
        self._threads = [threading.Thread(target=self._forward, args=pair, daemon=True) for pair in pairs]
        for thread in self._threads:
            thread.start()

    def wait(self) -> RegionRun:
        code = self._process.wait()
        for thread in self._threads:
            thread.join()
        return RegionRun(region=self._region, exit_code=code, output="".join(self._kept))

    def _forward(self, source: IO[str], target: IO[str] | None) -> None:
        for line in source:
            if target is None:
                self._kept.append(line)
            else:
                target.write(f"[{self._region}] {line}")
                target.flush()


def _without_region(words: Sequence[str]) -> list[str]:
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word == "--region":
            skip = True
        elif not word.startswith("--region="):
            kept.append(word)
    return kept
