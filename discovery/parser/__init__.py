"""Parsers compiled from a specification."""

from .generator import Parser, ParserGenerator
from .limits import Limits
from .parsed import ParsedBatch
from .symbols import Symbol

__all__ = ["Limits", "ParsedBatch", "Parser", "ParserGenerator", "Symbol"]
