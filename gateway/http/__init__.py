"""Telemetry over HTTP: POST /v1/telemetry, answered once the stream has it."""
