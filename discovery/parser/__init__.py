"""Parsers compiled from a specification."""

from .generator import Parser, ParserGenerator
from .limits import Limits
from .parsed import ParsedBatch
from .stream import Skipped, StreamParser
from .symbols import Symbol
from .tree import Node, ParseTree

__all__ = [
    "Limits",
    "Node",
    "ParseTree",
    "ParsedBatch",
    "Parser",
    "ParserGenerator",
    "Skipped",
    "StreamParser",
    "Symbol",
]
