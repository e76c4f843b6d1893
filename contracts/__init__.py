"""What all rooms agree on: the record, names, regions, settings, the ledger's items and the error tree."""
