"""How likely a message is under a specification's grammar, and its place in the flow under the sequence model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..batch import DIRECTION_NAMES
from ..parser import ParsedBatch
from ..spec import UNKNOWN_TYPE, ProtocolSpec
from .forest import MAX_TOKENS, Forests
from .learner import CUT, EMPTY
from .rules import RuleSet
from .sequence import TransitionLikelihood
from .tokens import tokens_from_parsed

BATCH = 4096  # distinct token sequences whose derivations are built at once


class Likelihood:
    """
    Bits (-log2 of a probability) of messages; what a message costs beyond ``message_bound`` was never seen in learning.

    Raises:
        SpecError: the grammar of the specification has symbols that it does not define.
    """

    def __init__(self, spec: ProtocolSpec) -> None:
        self.spec = spec
        self.transitions = TransitionLikelihood(spec.sequence)
        self.names = [*(t.name for t in spec.types), UNKNOWN_TYPE]

    @property
    def message_bound(self) -> float:
        """Bits of the costliest message that the grammar was learned from or judged on."""
        return self.spec.grammar.usual_bits

    @property
    def sequence_bound(self) -> float:
        """Bits of the rarest transition in the flows that the sequence model was learned from."""
        return self.spec.sequence.usual_bits

    def message_bits(self, parsed: ParsedBatch) -> NDArray[np.float64]:
        """
        Return the bits of each message's tokens (float64, n).

        Infinite where the grammar has no derivation; NaN, so neither likely nor unlikely, where there is no grammar,
        the message has no type, or it has too many tokens or derivations to be read.
        """
        bits = np.full(len(parsed), np.nan)
        if not self.spec.grammar.rules:
            return bits
        tokens = tokens_from_parsed(parsed)
        names = [*tokens.vocabulary.names, CUT, EMPTY]
        rules = RuleSet.from_spec(self.spec.grammar, {name: i for i, name in enumerate(names)})
        places: dict[bytes, list[int]] = {}
        for row in np.flatnonzero(parsed.type_index >= 0).tolist():
            if len(tokens.sequences[row]) > MAX_TOKENS:
                continue  # the learner leaves them out
            places.setdefault(_closed(tokens.sequences[row], len(names)).tobytes(), []).append(row)
        keys = list(places)
        for start in range(0, len(keys), BATCH):
            some = keys[start : start + BATCH]
            for key, cost in zip(some, self._bits(rules, len(names), some), strict=True):
                bits[places[key]] = cost
        return bits

    @staticmethod
    def _bits(rules: RuleSet, terminals: int, keys: list[bytes]) -> NDArray[np.float64]:
        forests = Forests(rules.rules, len(rules.names), terminals, [np.frombuffer(key, np.int64) for key in keys])
        logs, _ = forests.expect(rules.probabilities, np.zeros(len(keys)))
        return np.where(forests.read, -logs, np.nan)

    def sequence_bits(self, parsed: ParsedBatch, order: NDArray[np.int64]) -> NDArray[np.float64]:
        """
        Return the bits of each message's type and direction, given the message before it in its flow (float64, n).

        Args:
            order: rows that belong to flows, by flow and in their order; other messages are NaN.

        The first message of a flow is NaN too: a batch may begin in the middle of it.
        """
        bits = np.full(len(parsed), np.nan)
        if not self.spec.sequence.transitions:
            return bits
        flow, direction = parsed.view.flow[order], parsed.view.direction[order]
        types = parsed.type_index[order]
        same = np.flatnonzero(flow[1:] == flow[:-1]) + 1
        steps = np.stack([types[same - 1], types[same], direction[same]], axis=1)
        distinct, place = np.unique(steps, axis=0, return_inverse=True)
        costs = [self._step(*step) for step in distinct.tolist()]
        bits[order[same]] = np.array(costs, np.float64)[place.ravel()] if costs else np.nan
        return bits

    def _step(self, source: int, target: int, direction: int) -> float:
        return self.transitions.bits(self.names[source], self.names[target], DIRECTION_NAMES[direction])


def usual_bits(bits: NDArray[np.float64]) -> float:
    """Return the highest of the finite bits, 0 where there are none."""
    finite = bits[np.isfinite(bits)]
    return float(finite.max()) if len(finite) else 0.0


def _closed(tokens: NDArray[np.int64], terminals: int) -> NDArray[np.int64]:
    """Give an empty sequence its own token, as the learner does."""
    return np.ascontiguousarray(tokens, dtype=np.int64) if len(tokens) else np.array([terminals - 1], np.int64)
