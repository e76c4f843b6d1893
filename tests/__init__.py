"""Tests, in the rooms of what they test. A package, as an installed library may bring a folder of this name."""
