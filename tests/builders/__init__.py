"""Builders of what tests arrange, one file a room."""
