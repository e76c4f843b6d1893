"""Topics, paths and payloads of devices in the field, made into records by mappings."""
