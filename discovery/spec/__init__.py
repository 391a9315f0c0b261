"""The specification: what the engine finds, and the only thing that parsers, validators and exports read."""

from .base import HexBytes, Name, Quantised, quantise
from .constraints import (
    Address, Checksum, Constant, Constraint, Count, Counter, Echo, Enum, Flags, Length, Opaque, Padding, Range, Text,
    Timestamp,
)  # fmt: skip
from .evidence import Evidence, MessageRef, Rival
from .framing import DatagramFraming, DelimiterFraming, FixedFraming, Framing, LengthFraming, SegmentFraming
from .grammar import Grammar, GrammarRule, SequenceModel, Transition
from .guards import Guard, LengthGuard, TextGuard, TokenGuard, ValueGuard
from .layout import (
    Case, Delimited, Element, Encoding, Field, Fixed, FromLength, Repeat, Rest, Run, SelfDelimiting, Semantic, Stop,
    Switch, Times, ToEnd, Until, Width,
)  # fmt: skip
from .model import (
    UNKNOWN_TYPE, Capture, KeyField, Measures, MessageType, ProtocolSpec, Provenance, walk,
)  # fmt: skip

__all__ = [name for name in dir() if name[0].isupper() or name in ("quantise", "walk")]
