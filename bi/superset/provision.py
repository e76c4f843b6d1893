"""Runs in Superset's venv: its database, the roles, one login, and the import files that standard input has as JSON."""

import json
import os
import sys
from typing import Any


def main() -> None:
    """Bring Superset's own database up to date and replace what the files name; running it again changes nothing."""
    given = json.load(sys.stdin)
    from superset.app import create_app

    app = create_app()
    with app.app_context():
        from flask_migrate import upgrade
        from superset.extensions import appbuilder, db

        upgrade()
        appbuilder.add_permissions(update_perms=True)
        appbuilder.sm.sync_role_definitions()
        # Who has not logged in has this role, which may see nothing; pages fail where it is missing.
        appbuilder.sm.add_role(appbuilder.sm.auth_role_public)
        _log_in_as(appbuilder.sm, os.environ["FLEETLAKE_SUPERSET_PASSWORD"])
        db.session.commit()
        _import(given, appbuilder.sm)
    sys.stdout.write(json.dumps({"files": len(given)}) + "\n")


def _log_in_as(security: Any, password: str) -> None:
    user = security.find_user(username="admin")
    if user is None:
        role = security.find_role("Admin")
        security.add_user("admin", "Fleetlake", "Analyst", "admin@localhost", role, password=password)
    else:
        security.reset_password(user.id, password)


def _import(given: dict[str, Any], security: Any) -> None:
    import yaml
    from flask import g
    from superset.commands.importers.v1.assets import ImportAssetsCommand

    g.user = security.find_user(username="admin")
    contents = {name: yaml.safe_dump(content) for name, content in given.items()}
    contents["metadata.yaml"] = yaml.safe_dump(
        {"version": "1.0.0", "type": "assets", "timestamp": "2026-01-01T00:00:00+00:00"}
    )
    ImportAssetsCommand(contents).run()


if __name__ == "__main__":
    main()
