"""The grammar over field tokens, and the sequence of message types in flows."""

from .learner import GrammarLearner
from .rules import RuleSet
from .sequence import TransitionLikelihood, learn_sequence, sequence_log_probability
from .stage import learn_grammar
from .tokens import Tokens, tokens_from_parsed

__all__ = [
    "GrammarLearner",
    "RuleSet",
    "Tokens",
    "TransitionLikelihood",
    "learn_grammar",
    "learn_sequence",
    "sequence_log_probability",
    "tokens_from_parsed",
]
