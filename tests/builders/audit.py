"""What somebody could do to the log of privacy acts who owns its database."""

from typing import Any

import psycopg


def past_the_guard(connection: "psycopg.Connection[Any]", statement: str) -> None:
    """A statement as the database's owner could: past the trigger, with the rights that it took from itself."""
    connection.execute("alter table privacy.audit disable trigger keep_audit")
    connection.execute("grant all on privacy.audit to current_user")
    connection.execute(statement.encode())
    connection.execute("revoke all on privacy.audit from current_user")
    connection.execute("grant select, insert on privacy.audit to current_user")
    connection.execute("alter table privacy.audit enable trigger keep_audit")
