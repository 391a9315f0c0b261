"""Relations proven on raw byte columns, before any field is known."""

from .finder import DETECTORS, find_relations

__all__ = ["DETECTORS", "find_relations"]
