"""ops.derived and ops.deriving: which days are derived, from which history, and which are being replaced."""

from collections.abc import Iterable
from datetime import date
from uuid import UUID

from contracts.settings import RegionSettings
from lake.database import transaction


def begin(settings: RegionSettings, run: UUID, days: Iterable[date]) -> None:
    """Note, before the first of their rows changes, that a run replaces these days."""
    with transaction(settings) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.deriving (day, run) values (%s, %s) on conflict do nothing", [(day, run) for day in days]
        )


def interrupted(settings: RegionSettings, days: Iterable[date]) -> set[date]:
    """Those of the days that some run began to replace and did not finish: what they hold now may be newer than
    what was passed on."""
    with transaction(settings) as connection:
        rows = connection.execute("select day from ops.deriving where day = any(%s)", [list(days)]).fetchall()
    return {day for (day,) in rows}


def finish(settings: RegionSettings, run: UUID, days: Iterable[date], changed: set[date], sequence: int) -> None:
    """The days are derived from history at `sequence`; for those in `changed` that is also when rows last differed.

    A day derived for the first time counts as changed. Sequences never go back. What a dead run left in ops.deriving
    is forgotten after a day: until then nobody can tell it from one that is slow.
    """
    with transaction(settings) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.derived (day, sequence, rows_sequence) values (%(day)s, %(sequence)s, %(sequence)s)"
            " on conflict (day) do update set sequence = greatest(ops.derived.sequence, excluded.sequence),"
            " derived_at = now(), rows_sequence = case when %(changed)s"
            " then greatest(coalesce(ops.derived.rows_sequence, -1), excluded.rows_sequence)"
            " else coalesce(ops.derived.rows_sequence, ops.derived.sequence) end",
            [{"day": day, "sequence": sequence, "changed": day in changed} for day in days],
        )
        cursor.execute(
            "delete from ops.deriving where day = any(%s) and (run = %s or since < now() - interval '1 day')",
            [list(days), run],
        )
