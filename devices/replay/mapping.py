"""The mappings that a replay may name: those that ship with Fleetlake, and files."""

from pathlib import Path

from contracts.errors import BadMapping
from contracts.mapping import Mapping, read_mapping

_FOLDER = Path(__file__).resolve().parent.parent / "mappings"


def shipped_mappings() -> dict[str, Path]:
    """The mappings that ship with Fleetlake, by name."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.toml"))}


def load_mapping(name: str | None) -> Mapping:
    """A shipped mapping by its name, or one from a path; without a name the one that changes nothing.

    Raises BadMapping where there is none, or it is malformed.
    """
    if name is None:
        return Mapping()
    shipped = shipped_mappings()
    path = shipped.get(name.removesuffix(".toml"), Path(name))
    try:
        return read_mapping(path)
    except FileNotFoundError:
        raise BadMapping(f"no mapping {name!r}: neither a file nor one of {', '.join(shipped)}") from None
