"""What Superset's own venv runs: its configuration, and what fills its database. No other room imports it."""
