"""Answers to data subjects: everything that a region holds of them, as files, with an index that a person reads."""

from privacy.export.export import Answer, answer
from privacy.export.parts import privacy_parts

__all__ = ["Answer", "answer", "privacy_parts"]
