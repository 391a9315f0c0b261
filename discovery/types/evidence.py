"""Evidence of types and of the key: messages that bear them out, rivals that lost."""

from __future__ import annotations

import numpy as np

from ..falsification import violation_lower_bound
from ..sample import Sample
from ..settings import DiscoverySettings
from ..spec import Evidence, MessageRef, Rival, quantise
from .keys import KeyCandidate, Split
from .model import TypeModel

EXAMPLES = 3
RIVALS = 4
UNKNOWN_VALUES = 0.3
"""Rate of messages with a value of the key that no type has, above which they refute it."""


def gather(model: TypeModel, split: Split | None, sample: Sample, settings: DiscoverySettings) -> dict[str, Evidence]:
    """Return the evidence of each type (``type:<name>``), and of the key (``key:protocol``) unless it is refuted."""
    evidence = gather_types(model, sample)
    if model.key is not None and split is not None and split.key is not None:
        of_key = _of_key(split, split.key, sample, settings)
        wrong = violation_lower_bound(of_key.trials - of_key.support, of_key.trials, settings.confidence)
        if max(wrong, of_key.violation_bound) <= UNKNOWN_VALUES:
            evidence["key:protocol"] = of_key
    return evidence


def gather_types(model: TypeModel, sample: Sample) -> dict[str, Evidence]:
    """Return the evidence of each type (``type:<name>``): the messages that its guards hold for."""
    assigned = model.assign(sample.view)
    held_out = sample.held_out
    proposing, kept_back = int((~held_out).sum()), int(held_out.sum())
    evidence = {}
    for index, proposed in enumerate(model.types):
        rows = np.flatnonzero(assigned == index)
        evidence[f"type:{proposed.name}"] = Evidence(
            detector="guards",
            statement=proposed.label,
            support=int((~held_out[rows]).sum()),
            trials=proposing,
            held_out_support=int(held_out[rows].sum()),
            held_out_trials=kept_back,
            examples=_references(sample, rows[:EXAMPLES]),
        )
    return evidence


def _of_key(split: Split, key: KeyCandidate, sample: Sample, settings: DiscoverySettings) -> Evidence:
    known = np.array(sorted(split.children), np.int64)
    view = sample.view
    exists = view.lengths > key.offset
    values = view.data[np.where(exists, view.starts + key.offset, 0)].astype(np.int64) & key.mask
    holds = exists & np.isin(values, known)
    held_out = sample.held_out
    strange, kept_back = int((~holds & held_out).sum()), int(held_out.sum())
    return Evidence(
        detector="key",
        statement=f"{_bits_of(key)} at offset {key.offset} has one of {len(known)} values, which tell the types apart",
        support=int((holds & ~held_out).sum()),
        trials=int((~held_out).sum()),
        held_out_support=int((holds & held_out).sum()),
        held_out_trials=kept_back,
        violation_bound=violation_lower_bound(strange, kept_back, settings.confidence),
        epsilon=quantise(UNKNOWN_VALUES),
        bits_saved=key.bits,
        examples=_references(sample, np.flatnonzero(holds)[:EXAMPLES]),
        counter_examples=_references(sample, np.flatnonzero(~holds)[:EXAMPLES]),
        rivals=[_rival(rival, key) for rival in split.candidates if rival.offset != key.offset][:RIVALS],
    )


def _bits_of(key: KeyCandidate) -> str:
    return "the byte" if key.mask == 0xFF else f"the byte, masked by 0x{key.mask:02x},"


def _rival(rival: KeyCandidate, key: KeyCandidate) -> Rival:
    reason = rival.objection or f"score {rival.score:.2f} against {key.score:.2f}"
    return Rival(claim=f"the byte at offset {rival.offset}", reason=f"{reason}; explains {rival.bits:.0f} bits")


def _references(sample: Sample, rows: np.ndarray) -> list[MessageRef]:
    hashes = sample.capture_hashes
    return [
        MessageRef.at(hashes[source] if source < len(hashes) else "", int(sample.view.number[row]))
        for row, source in zip(rows.tolist(), sample.view.source[rows].tolist(), strict=True)
    ]
