"""A constraint before the messages: which leaves it holds for, the evidence, the verdict."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..falsification import refuted, violation_lower_bound
from ..sample import Sample
from ..settings import DiscoverySettings
from ..spec import Constraint, Evidence, MessageRef, Semantic
from .profile import Leaves, Profile

EXAMPLES = 2


class Proposal:
    """
    A meaning of a field, its constraint, and the leaves (bool, of the field) in which it holds.

    ``constraint`` is None for a meaning that the bytes alone cannot refute.
    """

    __slots__ = ("constraint", "detector", "holds", "semantic", "update")

    def __init__(
        self,
        detector: str,
        semantic: Semantic,
        constraint: Constraint | None = None,
        holds: NDArray[np.bool_] | None = None,
        **update: object,
    ) -> None:
        self.detector, self.semantic, self.constraint, self.holds = detector, semantic, constraint, holds
        self.update = update


def judge(
    proposal: Proposal, profile: Profile, sample: Sample, settings: DiscoverySettings
) -> Evidence | None:
    """Return the evidence of a proposal, None where the proposing or the held-out leaves refute it."""
    held = profile.held
    holds = proposal.holds if proposal.holds is not None else np.ones(len(held), np.bool_)
    held_trials, held_support = int(np.count_nonzero(held)), int(np.count_nonzero(holds & held))
    trials, support = len(held) - held_trials, int(np.count_nonzero(holds)) - held_support
    bound = violation_lower_bound(held_trials - held_support, held_trials, settings.confidence)
    if bound > settings.epsilon or refuted(trials - support, trials, settings):
        return None
    start = profile.span.start
    against = np.flatnonzero(~holds)[:EXAMPLES] + start if support + held_support < len(held) else ()
    return Evidence(
        detector=proposal.detector,
        support=support,
        trials=trials,
        held_out_support=held_support,
        held_out_trials=held_trials,
        violation_bound=bound,
        examples=[_reference(sample, profile.leaves, start + int(i)) for i in np.flatnonzero(holds)[:EXAMPLES]],
        counter_examples=[_reference(sample, profile.leaves, int(i)) for i in against],
    )


def _reference(sample: Sample, leaves: Leaves, leaf: int) -> MessageRef:
    row = int(leaves.rows[leaf])
    source = int(sample.view.source[row])
    hashes = sample.capture_hashes
    return MessageRef.at(hashes[source] if source < len(hashes) else "", int(sample.view.number[row]))
