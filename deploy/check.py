"""`make deploy-check`: everything that can be said of a deployment without an account, and what saying it takes."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from contracts.errors import FleetlakeError
from contracts.regions import load_regions
from deploy.assembly import ROOT, SynthesisFailed, Template, deploy_python, node_environment, read_assembly
from deploy.deployment import load_deployment
from deploy.environment import LEFT_OUT
from deploy.expectations import unmet
from deploy.guards import check_guards
from deploy.proof import prove_apart

_REASONS = "deploy/stacks/acknowledged.py"
IGNORED = ("W3010",)
"""Zones are named so that a synthesis asks no account."""


class NotAsExpected(FleetlakeError):
    """A template does not say what it must."""


class LintFound(FleetlakeError):
    """cfn-lint found something in a template."""


def main() -> int:
    """Run every check; 0 where all hold. A line each: what it looked at, seconds, and MiB where a process did it."""
    with tempfile.TemporaryDirectory(prefix="fleetlake-deploy-") as name:
        try:
            _check(Path(name))
        except FleetlakeError as error:
            sys.stderr.write(f"deploy-check: {error}\n")
            return error.exit_code
    return 0


def _check(folder: Path) -> None:
    _timed("synthesis with cdk-nag", lambda: _synthesise(folder))
    templates, regions, deployment = read_assembly(folder), load_regions(), load_deployment()
    _timed("guards: stores, policies, regions, backups, settings", lambda: _guards(templates))
    _timed("expectations", lambda: _expect(templates))

    def apart() -> str:
        proof = prove_apart(templates, regions, deployment)
        return (
            f"{proof.grants} grants of {proof.resources} resources: none between {proof.pairs} ordered pairs of places "
            f"but {proof.exchange_grants} on the regions' own prefixes of the exchange"
        )

    _timed("no grant from one region to another", apart)
    _timed("cfn-lint", lambda: _lint(folder))


def _timed(what: str, check: Callable[[], str]) -> None:
    began = time.perf_counter()
    said = check()
    sys.stdout.write(f"{what:<52} {time.perf_counter() - began:6.1f} s  {said}\n")
    sys.stdout.flush()


def _synthesise(folder: Path) -> str:
    peak = _run([str(deploy_python()), "-m", "deploy.app", str(folder)], SynthesisFailed)
    report = folder / "validation-report.json"
    found = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {"pluginReports": []}
    named = sorted(one["ruleName"] for plugin in found["pluginReports"] for one in plugin.get("violations", []))
    told = f"no finding without a reason, {peak:,.0f} MiB"
    if named:
        raise SynthesisFailed(f"findings without a reason: {', '.join(named)}; mend them, or see {_REASONS}")
    return f"{len(read_assembly(folder))} stacks, {told}"


def _guards(templates: Sequence[Template]) -> str:
    check_guards(templates, load_regions(), load_deployment())
    return f"every setting is given, {len(LEFT_OUT)} are left out with a reason"


def _expect(templates: Sequence[Template]) -> str:
    found = unmet(templates, load_regions(), load_deployment())
    if found:
        raise NotAsExpected("the templates are not as they must be:\n" + "\n".join(f"- {line}" for line in found))
    return "all hold"


def _lint(folder: Path) -> str:
    files = sorted(folder.glob("*.template.json"))
    program = str(deploy_python().parent / "cfn-lint")
    peak = _run([program, "--ignore-checks", *IGNORED, "--", *map(str, files)], LintFound)
    return f"{len(files)} templates, nothing found, {peak:,.0f} MiB"


def _run(command: Sequence[str], failure: type[FleetlakeError]) -> float:
    """Run a program of the venv that has the CDK; its memory at most, in MiB. Raises `failure`, with its last words."""
    kept = {
        name: os.environ[name] for name in ("FLEETLAKE_REGIONS_FILE", "FLEETLAKE_DEPLOYMENT_FILE") if name in os.environ
    }
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=ROOT, env=node_environment() | kept, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise failure(f"{command[0]} ended with {process.returncode}: {said.read().decode()[-4000:].strip()}")
    return used.ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
