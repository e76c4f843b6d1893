"""A decoding search: everything that a region keeps, unpacked, for names that should not be there."""
