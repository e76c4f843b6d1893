"""`fleetlake audit`: the log of privacy acts, which nobody can change unnoticed."""

import json
from typing import Annotated

import typer

from cli.environment import enter_region

audit = typer.Typer(name="audit", help="The log of privacy acts of a region.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(audit)


@audit.callback()
def _acts() -> None:
    """The log of privacy acts of a region."""


@audit.command("verify")
def _verify(
    region: Annotated[str, typer.Option(help="A region of regions.toml.")],
    head: Annotated[
        str | None, typer.Option(metavar="HEX", help="A head that was noted before, as in the evidence of a request.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Read the whole log and name the first row that was changed, removed or added, or that the suppression list, the
    requests or their reports contradict. Exit code 1 where there is one.
    """
    enter_region(region)
    from cli.store_errors import naming_the_store
    from contracts.settings import RegionSettings
    from privacy.proof import verify

    with naming_the_store(region):
        found = verify(RegionSettings.load(), head and head.strip().lower())
    ok = found.broken is None
    document = {"region": region, "ok": ok, "rows": found.rows, "head": found.head}
    if not ok:
        document |= {"first_misfit": found.broken, "why": found.why}
    if as_json:
        typer.echo(json.dumps(document))
    elif ok:
        typer.echo(f"{found.rows:,} acts of {region}, each as it was written. Head: {found.head}")
    else:
        typer.secho(f"fleetlake: row {found.broken} does not fit: {found.why}", err=True, fg=typer.colors.RED)
    if not ok:
        raise typer.Exit(1)
