"""The record of processing activities (GDPR Art. 30(1)), made of contracts.processing and the region table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contracts.columns import Privacy
from contracts.processing import Classes, Store, classes_of, processing, tables_of
from contracts.regions import Region

SUBJECTS = "Drivers, operators and owners of devices (registry.subject); users of the API by the name of their token."
_UNSET = "*set it in regions.toml*"
MEASURES = (
    "Each region has its own stores and credentials; a process is given those of one region (ADR 0003).",
    "Identifiers are in no log, tag or result of a check (ADR 0043); the marts' readers see marts alone.",
    "What leaves a region is aggregates of cohorts, which no later release can be subtracted from (ADR 0033).",
    "Readings of a past, acts on access and acts of privacy are written down; the log of these is chained.",
)
"""Art. 30(1)(g), 32(1): in general terms."""


def record_of_processing(
    regions: Iterable[Region], tables: Mapping[str, Classes], world: Mapping[str, Classes]
) -> dict[str, Any]:
    """The record as `--json` prints it. tables: of contracts and of a region's marts; world: of the world's."""
    known = processing()
    return {
        "controllers": [_controller(region) for region in regions],
        "subjects": SUBJECTS,
        "purposes": known.purposes,
        "recipients": known.recipients,
        "transfers": "None of personal data outside its region (Art. 30(1)(e), 44).",
        "measures": list(MEASURES),
        "stores": [_store(store, tables) for store in known.stores],
        "world": _tables(sorted(world.items())),
    }


def as_markdown(record: Mapping[str, Any]) -> str:
    """The record as a page."""
    lines = [
        "# Record of processing activities",
        "",
        "GDPR Art. 30(1). Printed by `fleetlake processing`: edit `contracts/processing.toml`,",
        "`contracts/classes.toml`, the columns of `contracts/` or the YAML of dbt's models, and print it again.",
        "",
        *_table(
            ("region", "controller (a)", "contact (a)", "law", "days kept (f)"),
            [
                (one["region"], one["controller"] or _UNSET, one["contact"] or _UNSET, one["law"], str(one["days"]))
                for one in record["controllers"]
            ],
        ),
        f"Data subjects (c): {record['subjects']}",
        "",
        f"Transfers to third countries (e): {record['transfers']}",
        "",
        "Measures (g):",
        "",
        *(f"- {measure}" for measure in record["measures"]),
        "",
        "## Purposes (b)",
        "",
        *_table(("purpose", "what for"), sorted(record["purposes"].items())),
        "## Recipients (d)",
        "",
        *_table(("recipient", "who"), sorted(record["recipients"].items())),
        "## Stores",
        "",
        *_table(
            ("store", "where", "classes (c)", "purposes (b)", "recipients (d)", "kept (f)"),
            [_row(store) for store in record["stores"]],
        ),
        "## Columns",
        "",
        "Classes are those of `contracts.columns.Privacy`.",
        "",
        *(line for store in record["stores"] for line in _columns(store["tables"])),
        "## Columns of the world's marts",
        "",
        *_columns(record["world"]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _controller(region: Region) -> dict[str, Any]:
    return {
        "region": region.name,
        "controller": region.controller,
        "contact": region.privacy_contact,
        "law": region.legal_regime,
        "days": region.retention_days,
    }


def _store(store: Store, tables: Mapping[str, Classes]) -> dict[str, Any]:
    return {
        "name": store.name,
        "title": store.title,
        "place": store.place.format(region="R"),
        "classes": [kind.value for kind in classes_of(store, tables)],
        "purposes": list(store.purposes),
        "recipients": list(store.recipients),
        "kept": store.kept.format(days="retention_days", region="R"),
        "tables": _tables(tables_of(store, tables)),
    }


def _tables(found: Iterable[tuple[str, Classes]]) -> dict[str, dict[str, list[str]]]:
    """Columns by table and class."""
    return {
        name: {
            kind.value: [column for column, of in columns.items() if of is kind]
            for kind in Privacy
            if kind in columns.values()
        }
        for name, columns in found
    }


def _row(store: Mapping[str, Any]) -> tuple[str, ...]:
    lists = (", ".join(store[name]) for name in ("classes", "purposes", "recipients"))
    return (store["title"], store["place"], *lists, store["kept"])


def _columns(tables: Mapping[str, Mapping[str, Sequence[str]]]) -> list[str]:
    lines = []
    for name, by_class in tables.items():
        rows = [(kind, ", ".join(f"`{column}`" for column in columns)) for kind, columns in by_class.items()]
        lines += [f"### {name}", "", *_table(("class", "columns"), rows)]
    return lines


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [*(f"| {' | '.join(cells)} |" for cells in lines), ""]
