"""Read API, live push and live map of one region: design in docs/how-to/serve-and-map.md and docs/reference/api.md."""
