"""What is read byte by byte, in machine code that numba makes of Python and keeps beside it."""
