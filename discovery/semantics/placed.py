"""What the layout itself calls a field, before the messages: a length it reads by, text, a delimiter, padding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..parser import ParsedBatch
from ..parser.symbols import Symbol
from ..sample import Sample
from ..settings import DiscoverySettings
from ..spec import Evidence, Field, SelfDelimiting
from .judge import PAYLOAD, UNSEEN, Proposal, judge
from .profile import EMPTY, PADDED, TEXT, UNIFORM, UTF8, UTF16BE, UTF16LE, Leaves, Profile

_ASTRAY = 0.1  # values of other bytes: of messages that are cut short, or read wrongly before them
_MISFITS = 0.1  # messages that do not fit, which may be for what stands elsewhere in them
_UNTESTABLE = {"payload": PAYLOAD}
_Test = Callable[[Profile], NDArray[np.bool_]]


def _of(bits: int) -> _Test:
    return lambda profile: profile.classes & (bits | EMPTY) > 0


def _known(profile: Profile) -> NDArray[np.bool_]:
    """Return the leaves with a value that a proposing one has."""
    return np.isin(profile.leaves.hashes[profile.span], profile.values[0])


_TESTS: dict[str, tuple[str, _Test]] = {
    "text": ("the bytes are text", _of(TEXT | PADDED | UTF8 | UTF16LE | UTF16BE)),
    "padding": ("the bytes are all the same", _of(UNIFORM)),
    "delimiter": ("one of the values that proposed it", _known),
    "constant": ("one of the values that proposed it", _known),
}


def owned(symbol: Symbol) -> str:
    """Return a field's name in claims, with its type or group."""
    return f"{symbol.type or symbol.group}.{symbol.name}"


class Placed:
    """The messages of the sample as the layout reads them, those that do not fit too."""

    def __init__(self, parsed: ParsedBatch, sample: Sample, settings: DiscoverySettings) -> None:
        self.parsed, self.sample, self.settings = parsed, sample, settings
        self._symbols: dict[str, list[int]] = {}
        self._judged: dict[tuple[str, str], Evidence | None] = {}
        for index, symbol in enumerate(parsed.symbols):
            self._symbols.setdefault(owned(symbol), []).append(index)

    def evidence(self, owner: str, field: Field, semantic: str) -> Evidence | None:
        """
        Return the evidence of what the layout calls a field, None where messages refute it.

        Text, padding, delimiters and constants are told by their bytes. Of all else, what the parser reads by (lengths,
        counts, kinds), each message that has the field is a trial, and fails where it does not fit its type.

        Args:
            owner: ``<type>.<field>`` or ``<group>.<field>``; semantic: what the layout calls it.
        """
        if (owner, semantic) not in self._judged:
            self._judged[owner, semantic] = self._judge(owner, field, semantic)
        return self._judged[owner, semantic]

    def _judge(self, owner: str, field: Field, semantic: str) -> Evidence | None:
        leaves = np.concatenate([self.parsed.leaves_of(symbol) for symbol in self._symbols[owner]])
        if not len(leaves):
            return Evidence(detector="layout", untestable=UNSEEN)
        profile = Profile(self._leaves(leaves), 0)
        if semantic in _UNTESTABLE:
            proposal = Proposal("layout", field.semantic, untestable=_UNTESTABLE[semantic])
        elif semantic in _TESTS and not isinstance(field.width, SelfDelimiting):
            statement, test = _TESTS[semantic]
            proposal = Proposal("layout", field.semantic, None, test(profile), epsilon=_ASTRAY, statement=statement)
        else:
            fits = self.parsed.explained[self.parsed.leaf_row[leaves]]
            statement = "messages that are read by it fit their type to the end"
            proposal = Proposal("layout", field.semantic, None, fits, epsilon=_MISFITS, statement=statement)
        return judge(proposal, profile, self.sample, self.settings)

    def _leaves(self, leaves: NDArray[np.int64]) -> Leaves:
        parsed, view = self.parsed, self.sample.view
        rows = parsed.leaf_row[leaves].astype(np.int64)
        starts = view.starts[rows] + parsed.leaf_start[leaves]
        return Leaves(
            view.data, starts, parsed.leaf_length[leaves].astype(np.int64), rows, self.sample.held_out[rows],
            np.zeros(len(leaves), np.int64), np.array([len(leaves)]),
        )  # fmt: skip
