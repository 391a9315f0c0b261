"""Where fields begin and end: the probability of a boundary before every byte of every message."""

from .segmenter import StatisticalSegmenter, default_segmenter

__all__ = ["StatisticalSegmenter", "default_segmenter"]
