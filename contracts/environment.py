"""Which variables a child process inherits: those of the machine, never those of a region or of AWS."""

from collections.abc import Mapping

INHERITED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LANGUAGE", "XDG_CACHE_HOME"),
        *("TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"),
        *("VIRTUAL_ENV", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "JAVA_HOME"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"),
        *("FLEETLAKE_MERGE_OPEN_HOURS", "FLEETLAKE_PROCESSING_NICENESS"),
        *("DAGSTER_DISABLE_TELEMETRY", "DBT_SEND_ANONYMOUS_USAGE_STATS", "GX_ANALYTICS_ENABLED"),
    }
)
"""AWS's own variables are not among them: a developer's credentials must not stand in where a region's are missing."""
_NO_PROXY = ("NO_PROXY", "no_proxy")
_THIS_MACHINE = ("127.0.0.1", "localhost")


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What a child process takes over of `environ`: INHERITED, the locale, and NO_PROXY with this machine in it."""
    kept = {name: value for name, value in environ.items() if name in INHERITED or name.startswith("LC_")}
    return kept | {name: _direct(environ.get(name)) for name in _NO_PROXY}


def _direct(no_proxy: str | None) -> str:
    """No proxy reaches what listens on this machine alone: the local stack, the code servers."""
    return ",".join(part for part in (no_proxy, *_THIS_MACHINE) if part)
