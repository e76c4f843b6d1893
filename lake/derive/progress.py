"""ops.derived and ops.deriving: which days are derived, from which history, and which are being replaced."""

from collections.abc import Iterable, Sequence
from datetime import date
from uuid import UUID

import msgspec

from contracts.settings import RegionSettings
from lake.database import transaction


class Standing(msgspec.Struct, frozen=True):
    """What is known of some days before a derivation reads anything."""

    passed_on: dict[date, int]
    """rows_sequence of ops.derived; nothing for a day that was never derived."""
    begun: list[tuple[date, UUID]]
    """What runs began to replace and did not finish: what these days hold may be newer than what was passed on."""

    @property
    def suspect(self) -> set[date]:
        """The days that some run began to replace and did not finish."""
        return {day for day, _ in self.begun}


def standing(settings: RegionSettings, days: Sequence[date]) -> Standing:
    """How the days stand now."""
    with transaction(settings) as connection:
        begun = connection.execute(
            "select day, run from ops.deriving where day = any(%s) order by day, run", [days]
        ).fetchall()
        passed_on = connection.execute(
            "select day, coalesce(rows_sequence, sequence) from ops.derived where day = any(%s)", [days]
        ).fetchall()
    return Standing(passed_on=dict(passed_on), begun=begun)


def begin(settings: RegionSettings, run: UUID, days: Iterable[date]) -> None:
    """Note, before the first of their rows changes, that a run replaces these days."""
    with transaction(settings) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.deriving (day, run) values (%s, %s) on conflict do nothing", [(day, run) for day in days]
        )


_FINISH = """
    insert into ops.derived as d (day, sequence, rows_sequence)
    values (%(day)s, %(sequence)s, greatest(%(sequence)s, 1 + (
        select max(a.sequence) from ops.applied a where a.target = 'staging' and a.day = %(day)s
    )))
    on conflict (day) do update set
        derived_at = now(),
        sequence = case
            when coalesce(d.rows_sequence, d.sequence) is distinct from %(before)s
                then least(d.sequence, excluded.sequence)
            when %(changed)s then excluded.sequence
            else greatest(d.sequence, excluded.sequence)
        end,
        rows_sequence = case
            when %(changed)s then greatest(1 + coalesce(d.rows_sequence, d.sequence), excluded.sequence)
            else coalesce(d.rows_sequence, d.sequence)
        end
"""


def finish(
    settings: RegionSettings, run: UUID, days: Sequence[date], changed: set[date], sequence: int, before: Standing
) -> None:
    """The days are derived from history at `sequence`; rows of those in `changed` are passed on to loads.

    A day's rows are as old as the oldest history that one of its tables was written from: a run that replaced rows
    says its own sequence, and where another run passed rows on since `before`, the older of the two stands and the
    day is derived once more. A day derived for the first time counts as changed. What a dead run left in ops.deriving
    is taken up, and forgotten after a day: until then nobody can tell it from one that is slow.
    """
    with transaction(settings) as connection, connection.cursor() as cursor:
        cursor.executemany(
            _FINISH,
            [
                {"day": day, "sequence": sequence, "changed": day in changed, "before": before.passed_on.get(day)}
                for day in days
            ],
        )
        cursor.executemany("update ops.deriving set taken_up = true where day = %s and run = %s", before.begun)
        cursor.execute(
            "delete from ops.deriving where day = any(%s) and (run = %s or since < now() - interval '1 day')",
            [days, run],
        )
