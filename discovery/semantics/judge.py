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
UNSEEN = "no message of the sample has it"  # why what the layout only foresees claims nothing
PAYLOAD = "what nothing else is known of, whatever its bytes are"  # why payload claims nothing


class Proposal:
    """
    A meaning of a field and its test.

    Attributes:
        constraint: what each message must hold, None for a meaning that is about many messages.
        holds: bool, the leaves of the field in which the test succeeds; None where it was made elsewhere, or is none.
        epsilon: rate of failures above which they refute it; None: the settings'.
        statement: what was tested, where no constraint says it.
        untestable: why no bytes can refute it.
    """

    __slots__ = ("constraint", "detector", "epsilon", "holds", "semantic", "statement", "untestable", "update")

    def __init__(
        self,
        detector: str,
        semantic: Semantic,
        constraint: Constraint | None = None,
        holds: NDArray[np.bool_] | None = None,
        *,
        epsilon: float | None = None,
        statement: str = "",
        untestable: str = "",
        **update: object,
    ) -> None:
        self.detector, self.semantic, self.constraint, self.holds = detector, semantic, constraint, holds
        self.epsilon, self.statement, self.untestable = epsilon, statement, untestable
        self.update = update


def judge(proposal: Proposal, profile: Profile, sample: Sample, settings: DiscoverySettings) -> Evidence | None:
    """
    Return the evidence of a proposal, None where the proposing or the held-out leaves refute it.

    A proposal without a test says why it has none, and its evidence counts no trials.
    """
    start, held, holds = profile.span.start, profile.held, proposal.holds
    if holds is None:
        assert proposal.untestable, f"{proposal.detector} has neither a test nor a reason for having none"
        shown = range(start, start + min(EXAMPLES, len(held)))
        return Evidence(
            detector=proposal.detector,
            statement=proposal.statement,
            untestable=proposal.untestable,
            examples=[_reference(sample, profile.leaves, leaf) for leaf in shown],
        )
    epsilon = settings.epsilon if proposal.epsilon is None else proposal.epsilon
    held_trials, held_support = int(np.count_nonzero(held)), int(np.count_nonzero(holds & held))
    trials, support = len(held) - held_trials, int(np.count_nonzero(holds)) - held_support
    bound = violation_lower_bound(held_trials - held_support, held_trials, settings.confidence)
    if bound > epsilon or refuted(trials - support, trials, settings, epsilon):
        return None
    against = np.flatnonzero(~holds)[:EXAMPLES] + start if support + held_support < len(held) else ()
    return Evidence(
        detector=proposal.detector,
        statement=proposal.statement,
        support=support,
        trials=trials,
        held_out_support=held_support,
        held_out_trials=held_trials,
        violation_bound=bound,
        epsilon=epsilon,
        examples=[_reference(sample, profile.leaves, start + int(i)) for i in np.flatnonzero(holds)[:EXAMPLES]],
        counter_examples=[_reference(sample, profile.leaves, int(i)) for i in against],
    )


def _reference(sample: Sample, leaves: Leaves, leaf: int) -> MessageRef:
    row = int(leaves.rows[leaf])
    source = int(sample.view.source[row])
    hashes = sample.capture_hashes
    return MessageRef.at(hashes[source] if source < len(hashes) else "", int(sample.view.number[row]))
