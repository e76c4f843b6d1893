"""Landing into history.telemetry: which objects, in which commits, by the one MERGE shape, and what came of it."""
