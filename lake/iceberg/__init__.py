"""The region's Iceberg catalog and tables."""
