"""What was found out about a file, and what of it the records do not say."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

NULL_MARKER = "null marker"
NO_NUMBER = "no number"
NO_JSON = "no JSON object"
NULL_ENTRY = "null entry of a map or list"
NOT_FINITE = "not a finite number"
HALF_SURROGATE = "text with half of a surrogate pair"


@dataclass(slots=True)
class Findings:
    """Grows while the file is read.

    decided: how the file is read, by subject. dropped: values that are not sent, by column and reason. as_text: values
    that are not of their field's type and are sent as the text that they are, which the consumer flags, by column.
    notes: what a person should look at.
    """

    decided: dict[str, Any] = field(default_factory=dict)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    as_text: Counter[str] = field(default_factory=Counter)
    no_time: int = 0
    """Records whose time cannot be read; the consumer rejects them."""
    skipped_hour: int = 0
    doubled_hour: int = 0
    notes: dict[str, None] = field(default_factory=dict)

    def drop(self, column: str, reason: str, count: int = 1) -> None:
        """Count values of a column that are not sent."""
        if count:
            self.dropped[column, reason] += count

    def note(self, text: str) -> None:
        """Keep a note, once."""
        self.notes.setdefault(text)

    def report(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "decided": self.decided,
            "dropped_values": [
                {"column": column, "reason": reason, "count": count}
                for (column, reason), count in sorted(self.dropped.items())
            ],
            "sent_as_text": dict(sorted(self.as_text.items())),
            "no_time": self.no_time,
            "clock_changes": {"skipped_hour": self.skipped_hour, "doubled_hour": self.doubled_hour},
            "notes": list(self.notes),
        }

    def lines(self) -> list[tuple[str, str]]:
        """As people read it: what, and how much of it."""
        told = [(subject.replace("_", " "), _told(value)) for subject, value in self.decided.items()]
        told += [
            (f"{column}: not sent, {reason}", f"{count:,}") for (column, reason), count in sorted(self.dropped.items())
        ]
        told += [(f"{column}: sent as text, not of its type", f"{count:,}") for column, count in self.as_text.items()]
        counts = (
            ("records without a time that can be read", self.no_time),
            ("times in an hour that a clock change skips", self.skipped_hour),
            ("times in an hour that comes twice", self.doubled_hour),
        )
        told += [(label, f"{count:,}") for label, count in counts if count]
        return [*told, *(("look at", note) for note in self.notes)]


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {inner}" for name, inner in value.items())
    return " ".join(value) if isinstance(value, list) else str(value)
