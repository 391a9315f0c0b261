"""From the rows in which a relation holds to its types and its evidence, or to its refutation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..falsification import refuted, violation_lower_bound
from ..sample import Sample
from ..settings import DiscoverySettings
from ..spec import Evidence, MessageRef, Rival
from .columns import Columns

EXAMPLES = 3
MOST_RIVALS = 6


def reference(sample: Sample, row: int) -> MessageRef:
    """Return where a row of the sample was captured."""
    source = int(sample.view.source[row])
    capture = sample.capture_hashes[source] if 0 <= source < len(sample.capture_hashes) else ""
    return MessageRef.at(capture, int(sample.view.number[row]))


@lru_cache(maxsize=4096)
def tolerated(trials: int, settings: DiscoverySettings) -> int:
    """Return the largest number of violations in so many trials that does not refute a claim (at most a tenth)."""
    violations = 0
    while violations < trials // 10 and not refuted(violations + 1, trials, settings):
        violations += 1
    return violations


def types_that_hold(columns: Columns, holds: NDArray[np.bool_], wanted: Sequence[int]) -> tuple[int, ...]:
    """Return those of the wanted types whose proposing messages do not refute ``holds`` (bool per row)."""
    proposing = ~columns.sample.held_out & (columns.type_of_row >= 0)
    trials = np.bincount(columns.type_of_row[proposing], minlength=columns.n_types)
    support = np.bincount(columns.type_of_row[proposing & holds], minlength=columns.n_types)
    return tuple(
        int(t)
        for t in sorted(wanted)
        if trials[t] and trials[t] - support[t] <= tolerated(int(trials[t]), columns.settings)
    )


def evidence_of(
    columns: Columns,
    holds: NDArray[np.bool_],
    types: Sequence[int],
    detector: str,
    statement: str,
    rivals: Sequence[Rival] = (),
    epsilon: float | None = None,
) -> Evidence:
    """
    Return the numbers and messages for and against a relation among the rows of these types.

    Args:
        epsilon: the rate of violations that the caller refutes it by, None for the settings'.
    """
    sample, settings = columns.sample, columns.settings
    concerned = columns.of_types(types)
    held = sample.held_out
    trials, held_trials = int((concerned & ~held).sum()), int((concerned & held).sum())
    held_support = int((concerned & held & holds).sum())
    return Evidence(
        detector=detector,
        statement=statement,
        support=int((concerned & ~held & holds).sum()),
        trials=trials,
        held_out_support=held_support,
        held_out_trials=held_trials,
        violation_bound=violation_lower_bound(held_trials - held_support, held_trials, settings.confidence),
        epsilon=settings.epsilon if epsilon is None else epsilon,
        examples=[reference(sample, int(r)) for r in np.flatnonzero(concerned & holds)[:EXAMPLES]],
        counter_examples=[reference(sample, int(r)) for r in np.flatnonzero(concerned & ~holds)[:EXAMPLES]],
        rivals=list(rivals[:MOST_RIVALS]),
    )


def stands(evidence: Evidence, settings: DiscoverySettings) -> bool:
    """Return whether neither the proposing nor the held-out messages refute a claim."""
    violations = evidence.trials - evidence.support
    return evidence.violation_bound <= settings.epsilon and not refuted(violations, evidence.trials, settings)


def rival(claim: str, reason: str, evidence: Evidence | None = None) -> Rival:
    """Return a claim that lost, with its numbers on all messages where they are known."""
    if evidence is None:
        return Rival(claim=claim, reason=reason)
    return Rival(
        claim=claim,
        reason=reason,
        support=evidence.support + evidence.held_out_support,
        trials=evidence.trials + evidence.held_out_trials,
        refuted_by=evidence.counter_examples[0] if evidence.counter_examples else None,
    )
