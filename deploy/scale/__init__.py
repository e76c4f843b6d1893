"""Scaling as the template has it: its policies read from there, and a day of them simulated."""
