"""Labelled messages among the simulated protocols: what an analyst has marked, to go on learning from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from random import Random

from ..evaluation.corpus import Labelled, load_corpus
from ..labels import Labels
from ..simulator import SimulatedProtocol
from .examples import Example, example_of
from .source import SimulatedBoundaries

SIZES = (5, 12, 25, 50, 100, 200)
FOLDS = 4  # one file in so many, by a hash of its name, is never trained on


@dataclass(frozen=True)
class MixedBoundaries:
    """
    Simulated protocols, and a share of examples from labelled ones.

    Whole files are held out, one in ``FOLDS``: messages of one protocol or capture are never on both sides. Every other
    held-out example is a labelled one where there are such files.
    """

    labels: Labels
    share: float

    @property
    def kind(self) -> type[Example]:
        """What an example is."""
        return Example

    def example(self, seed: int, number: int) -> Example:
        """Return an example to train on."""
        rng = Random(f"{seed}/{number}")
        trained_on = _protocols(self.labels, held=False)
        if trained_on and rng.random() < self.share:
            return drawn(rng.choice(trained_on), rng)
        return SimulatedBoundaries().example(seed, number)

    def held_out(self, part: int, number: int) -> Example:
        """Return an example to judge by."""
        kept = _protocols(self.labels, held=True)
        if kept and number % 2:
            rng = Random(f"held out/{number}")
            return drawn(rng.choice(kept), rng)
        return SimulatedBoundaries().held_out(part, number)


def is_held_out(name: str) -> bool:
    """Say whether the file of that name is held out."""
    return int(sha256(name.encode()).hexdigest(), 16) % FOLDS == 0


def drawn(labelled: Labelled, rng: Random) -> Example:
    """Return an example of some messages of a protocol, in their order; nothing is told of meanings."""
    batch = labelled.batch
    count = min(rng.choice(SIZES), len(batch))
    start = rng.randrange(len(batch) - count + 1)
    view, rows = batch.slice(start, count).view(), range(start, start + count)
    names = sorted(set(labelled.types))
    protocol = SimulatedProtocol(
        "labelled", [view.payload(row) for row in range(count)], [_inside(labelled, row) for row in rows],
        [[] for _ in rows], [names.index(labelled.types[row]) if names else 0 for row in rows],
        view.direction.tolist(), view.flow.tolist(), view.ts.tolist(), [[] for _ in rows],
    )  # fmt: skip
    made = example_of(protocol, rng)
    made.kinds[:] = -1
    if not names:
        made.types[:] = -1
    return made


def _inside(labelled: Labelled, row: int) -> list[int]:
    length = int(labelled.batch.slice(row, 1).view().lengths[0])
    return [at for at in labelled.boundaries[row] if 0 < at < length]


@cache
def _protocols(labels: Labels, held: bool) -> list[Labelled]:
    return [one for one in load_corpus(labels.folder()) if is_held_out(one.name) == held]
