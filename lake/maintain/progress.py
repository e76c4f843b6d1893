"""ops.table_health: the tables' figures at each maintenance."""

from collections.abc import Sequence

import msgspec

from contracts.settings import LakeSettings
from lake.database import transaction
from lake.maintain.health import TableHealth

_COLUMNS = TableHealth.__struct_fields__


def record_health(settings: LakeSettings, tables: Sequence[TableHealth]) -> None:
    """Add one row for each table."""
    names, places = ", ".join(f'"{name}"' for name in _COLUMNS), ", ".join(["%s"] * len(_COLUMNS))
    statement = f"insert into ops.table_health ({names}) values ({places})"  # noqa: S608 - the struct's own names
    with transaction(settings) as connection, connection.cursor() as cursor:
        cursor.executemany(statement, [msgspec.structs.astuple(one) for one in tables])


def latest_health(settings: LakeSettings) -> list[TableHealth]:
    """The newest row of each table, by its name."""
    names = ", ".join(f'"{name}"' for name in _COLUMNS)
    query = f'select distinct on ("table") {names} from ops.table_health order by "table", measured_at desc'  # noqa: S608
    with transaction(settings) as connection:
        return [TableHealth(*row) for row in connection.execute(query).fetchall()]
