"""Parsers that read byte by byte: Python that numba compiles to machine code, which is cached beside the source."""
