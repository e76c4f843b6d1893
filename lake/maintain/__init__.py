"""Maintenance of the region's Iceberg tables: closed days rewritten, snapshots expired, stray files deleted, health."""
