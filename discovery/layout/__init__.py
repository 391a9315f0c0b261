"""Layouts: fields, repeats and switches of each message type, from boundary probabilities, findings and structure."""

from .build import Layouts, build_layouts

__all__ = ["Layouts", "build_layouts"]
