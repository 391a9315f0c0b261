"""The grammar over field tokens, and the sequence of message types in flows."""

from .learner import GrammarLearner
from .rules import RuleSet

__all__ = ["GrammarLearner", "RuleSet"]
