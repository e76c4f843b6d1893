"""ops.changed, ops.harvest_cursor, ops.derived and ops.deriving: which days changed, and which are derived again.

Each day goes from changed (a commit of history touched it) through deriving (a run replaces its rows) to derived.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from uuid import UUID

import msgspec
import psycopg

from contracts.names import HISTORY_TABLE
from contracts.settings import LakeSettings
from lake.database import transaction


def due_days(settings: LakeSettings) -> list[date]:
    """The business days that changed since they were derived, or that a run began to replace and did not finish."""
    with transaction(settings) as connection:
        rows = connection.execute(
            "select c.day from ops.changed c left join ops.derived d using (day)"
            " where c.sequence > coalesce(d.sequence, -1)"
            " union select day from ops.deriving where not taken_up order by day"
        ).fetchall()
    return [day for (day,) in rows]


def days_changed_last(settings: LakeSettings, limit: int) -> list[date]:
    """At most `limit` business days, the one that changed last first; of days that changed at once the latest first."""
    with transaction(settings) as connection:
        query = "select day from ops.changed order by changed_at desc, day desc limit %s"
        return [day for (day,) in connection.execute(query, [limit])]


class HarvestCursor(msgspec.Struct, frozen=True):
    """The snapshot of history up to which changed days are marked."""

    snapshot_id: int
    sequence: int


def lock_harvest(connection: psycopg.Connection) -> HarvestCursor | None:
    """The cursor, None before the first harvest. Locks out other harvests until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(hashtext('fleetlake.harvest'))")
    return read_cursor(connection)


def read_cursor(connection: psycopg.Connection) -> HarvestCursor | None:
    """The cursor, None before the first harvest."""
    row = connection.execute(
        "select snapshot_id, sequence from ops.harvest_cursor where table_name = %s", [HISTORY_TABLE]
    ).fetchone()
    return HarvestCursor(*row) if row else None


def move_harvest(connection: psycopg.Connection, cursor: HarvestCursor) -> None:
    """Record that changed days are marked up to this snapshot."""
    connection.execute(
        "insert into ops.harvest_cursor values (%s, %s, %s) on conflict (table_name) do update"
        " set snapshot_id = excluded.snapshot_id, sequence = excluded.sequence",
        [HISTORY_TABLE, cursor.snapshot_id, cursor.sequence],
    )


def known_days(connection: psycopg.Connection) -> set[date]:
    """Every day that ever changed or was derived."""
    known = connection.execute("select day from ops.changed union select day from ops.derived").fetchall()
    return {day for (day,) in known}


def mark_changed(connection: psycopg.Connection, marks: Mapping[date, int]) -> None:
    """Mark days as changed by the commit of history with this sequence number; never by an older one."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.changed (day, sequence) values (%s, %s) on conflict (day) do update"
            " set sequence = excluded.sequence, changed_at = now() where ops.changed.sequence < excluded.sequence",
            sorted(marks.items()),
        )


def derive_again(connection: psycopg.Connection, days: Mapping[date, int]) -> None:
    """Make these days due, each as changed by the commit with this sequence number, whatever was derived before.

    The history that they were derived from is not the present one's past any more, so a number may be lower than
    before. The rows' sequence grows: a derivation under way, which read the lost history, leaves its days due as well.
    """
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.changed (day, sequence) values (%s, %s) on conflict (day) do update"
            " set sequence = excluded.sequence, changed_at = now()",
            sorted(days.items()),
        )
    connection.execute(
        "update ops.derived set sequence = -1, rows_sequence = 1 + coalesce(rows_sequence, sequence)"
        " where day = any(%s)",
        [list(days)],
    )


class DerivationState(msgspec.Struct, frozen=True):
    """What ops.derived and ops.deriving say of some days before a derivation reads anything."""

    passed_on: dict[date, int]
    """rows_sequence of ops.derived; nothing for a day that was never derived."""
    begun: list[tuple[date, UUID]]
    """What runs began to replace and did not finish: these days' rows may be newer than what was passed on."""

    @property
    def suspect(self) -> set[date]:
        """The days that some run began to replace and did not finish."""
        return {day for day, _ in self.begun}


def derivation_state(settings: LakeSettings, days: Sequence[date]) -> DerivationState:
    """The state of these days now."""
    with transaction(settings) as connection:
        begun = connection.execute(
            "select day, run from ops.deriving where day = any(%s) order by day, run", [days]
        ).fetchall()
        passed_on = connection.execute(
            "select day, coalesce(rows_sequence, sequence) from ops.derived where day = any(%s)", [days]
        ).fetchall()
    return DerivationState(passed_on=dict(passed_on), begun=begun)


def begin(settings: LakeSettings, run: UUID, days: Iterable[date]) -> None:
    """Record, before the first of their rows changes, that a run replaces these days."""
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
    settings: LakeSettings,
    run: UUID,
    days: Sequence[date],
    changed: set[date],
    sequence: int,
    before: DerivationState,
) -> None:
    """Record that the days are derived from history at `sequence`; loads take up those in `changed`.

    A day's rows are as old as the oldest history that one of its tables was written from. A run that replaced rows
    records its own sequence. Where another run passed rows on since `before`, the lower of the two sequences is
    kept, so the day is derived once more. A day derived for the first time counts as changed. Rows that a dead run
    left in ops.deriving are taken up, and deleted after a day: until then a dead run cannot be told from a slow one.
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
