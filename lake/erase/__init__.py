"""Erasure in the lake: landed and rejected objects, and the Iceberg tables. Adapters of contracts.erasable."""
