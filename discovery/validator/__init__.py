"""MessageValidator: judges messages against a specification, at four levels, with rules of the user's own."""

from .rules import OPERATORS, Rule, load_rules, rules_from
from .validator import LEVELS, MessageValidator
from .verdict import ValidationResult, Verdict, Violation

__all__ = [
    "LEVELS",
    "OPERATORS",
    "MessageValidator",
    "Rule",
    "ValidationResult",
    "Verdict",
    "Violation",
    "load_rules",
    "rules_from",
]
