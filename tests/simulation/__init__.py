"""A cluster simulated: real workers on virtual time, under faults drawn from a seed. `python -m tests.simulation`."""
