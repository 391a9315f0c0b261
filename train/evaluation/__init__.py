"""How good and how fast discovery is: scores against labelled messages, times on generated ones."""

from .accuracy import AccuracyReport, evaluate_accuracy

__all__ = ["AccuracyReport", "evaluate_accuracy"]
