"""The privacy class of each column of the marts, as dbt's models say it beside the column's description."""

from pathlib import Path

from contracts.columns import Privacy
from contracts.errors import SchemaMismatch
from contracts.processing import Classes

MODELS = Path(__file__).resolve().parent.parent / "dbt_project" / "models"


def mart_classes(kind: str = "region") -> dict[str, Classes]:
    """By mart, such as `marts.trip`, and column. kind: region or world. SchemaMismatch where a column has none."""
    import yaml

    found: dict[str, Classes] = {}
    for file in sorted((MODELS / kind / "marts").glob("*.yml")):
        for model in yaml.safe_load(file.read_text(encoding="utf-8")).get("models", ()):
            found[f"marts.{model['name']}"] = {column["name"]: _class(file, column) for column in model["columns"]}
    return found


def _class(file: Path, column: dict[str, object]) -> Privacy:
    config = column.get("config")
    meta = config.get("meta", {}) if isinstance(config, dict) else {}
    try:
        return Privacy(meta["privacy"])
    except (KeyError, ValueError):
        raise SchemaMismatch(
            f"{file.name}: column {column['name']} has no privacy class; add config: {{meta: {{privacy: CLASS}}}}, "
            f"one of {', '.join(kind.value for kind in Privacy)}"
        ) from None
