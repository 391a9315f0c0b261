"""Meaning of parsed fields: labels and constraints from their values, each judged on held-out messages."""

from .label import label_fields

__all__ = ["label_fields"]
