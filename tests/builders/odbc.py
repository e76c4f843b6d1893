"""A region's marts by ODBC, as Excel, Power BI and Tableau read Postgres: Debian's psqlODBC under Python's pyodbc."""

from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

DRIVER = "PostgreSQL Unicode"


def odbc_connection(dsn: str) -> Any:
    """A connection with the login of a Postgres DSN. Skips the test that asks where ODBC is not installed."""
    reason = "needs pyodbc, which `make install` brings, and its library: apt-get install libodbc2 odbc-postgresql"
    pyodbc = pytest.importorskip("pyodbc", reason=reason, exc_type=ImportError)
    if DRIVER not in pyodbc.drivers():
        pytest.skip(f"no ODBC driver {DRIVER!r}: apt-get install odbc-postgresql")
    parts = conninfo_to_dict(dsn)
    login = {"Servername": "host", "Port": "port", "Database": "dbname", "Username": "user", "Password": "password"}
    words = [f"{name}={parts[of]}" for name, of in login.items()]
    return pyodbc.connect(";".join([f"Driver={{{DRIVER}}}", *words]), autocommit=True)
