"""Superset's configuration, imported in its own venv. Everything that differs comes from the environment."""

import os
from pathlib import Path

_HOME = Path(os.environ["SUPERSET_HOME"])

SQLALCHEMY_DATABASE_URI = f"sqlite:///{_HOME / 'superset.db'}"
SECRET_KEY = os.environ["FLEETLAKE_SUPERSET_SECRET_KEY"]
WTF_CSRF_ENABLED = True
SESSION_COOKIE_NAME = os.environ["FLEETLAKE_SUPERSET_COOKIE"]
"""Cookies do not know ports: two Supersets of one machine must not log each other out."""
RATELIMIT_STORAGE_URI = "memory://"
FEATURE_FLAGS = {"DASHBOARD_VIRTUALIZATION": False}
LOG_LEVEL = "WARNING"
SUPERSET_WEBSERVER_TIMEOUT = 300
"""As long as the server's own: a page that gives up after a minute shows errors on a machine that is busy."""

# The page may load nothing from any other host, nor tell one that it was opened.
TALISMAN_ENABLED = True
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "font-src": ["'self'", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": False,
}
