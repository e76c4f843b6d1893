"""The consumer as a service: processes, signals, health, metrics and views."""
