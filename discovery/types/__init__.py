"""Message types: the field whose value explains the rest, splits nested in it, and what is left of them."""

from .finder import find_types
from .matching import guards_match
from .model import ProposedType, TypeModel

__all__ = ["ProposedType", "TypeModel", "find_types", "guards_match"]
