"""``evaluate_accuracy``: boundaries and types of discovered specifications against labelled messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...discovery.batch import MessageBatch
from ...discovery.boundaries import default_segmenter
from ...discovery.errors import QbitelError
from ...discovery.orchestrator import ProtocolDiscoveryOrchestrator
from ...discovery.parser import Parser
from ...discovery.segmenter import Segmenter
from ...discovery.settings import DiscoverySettings
from ...discovery.statistics import MessageStatistics
from ...discovery.types import find_types
from .corpus import Labelled, families, load_corpus
from .machine import machine_lines
from .metrics import BoundaryScore, TypeScore, mean, score_message, score_types

THRESHOLD = 0.35
RANDOM_MESSAGES = 300
RANDOM_SEED = 20260101


@dataclass(frozen=True)
class Inferred:
    """What a predictor says of a batch: boundaries and type of each message."""

    boundaries: list[list[int]]
    types: list[int]


Predictor = Callable[[MessageBatch], Inferred]


def engine(batch: MessageBatch) -> Inferred:
    """Discover a specification of the messages, parse them with it, and return where its fields begin."""
    spec = ProtocolDiscoveryOrchestrator().discover(batch).spec
    parsed = Parser(spec).parse_batch(batch.view())
    boundaries = [parsed.boundaries(row).tolist() for row in range(len(parsed))]
    return Inferred(boundaries, parsed.type_index.tolist())


def segmenter(batch: MessageBatch, chosen: Segmenter | None = None) -> Inferred:
    """Return the (default) segmenter's probabilities from ``THRESHOLD`` on, without layouts or findings."""
    settings = DiscoverySettings()
    statistics = MessageStatistics(settings)
    statistics.update(batch, "0" * 16)
    sample = statistics.sample()
    types = find_types(sample, settings).assign(sample.view)
    found = (chosen or default_segmenter()).boundary_probabilities(sample, types, []) >= THRESHOLD
    known = {sample.view.payload(row): row for row in range(len(sample.view))}
    rows = [known.get(payload, -1) for payload in batch.payloads()]
    boundaries = [np.flatnonzero(found[row]).tolist() if row >= 0 else [] for row in rows]
    return Inferred(boundaries, [int(types[row]) if row >= 0 else -1 for row in rows])


PREDICTORS: dict[str, Predictor] = {"engine": engine, "segmenter": segmenter}


@dataclass(frozen=True)
class ProtocolScore:
    """Scores of one protocol over its distinct messages, None where its truth says nothing; why discovery failed."""

    protocol: str
    family: str
    messages: int
    seconds: float
    boundaries: BoundaryScore | None
    types: TypeScore | None
    failure: str = ""


@dataclass(frozen=True)
class RandomScore:
    """Boundaries per position inside messages of uniformly random bytes: each of them is false."""

    shape: str
    positions: int
    boundaries: int

    @property
    def rate(self) -> float:
        """False positives per position."""
        return self.boundaries / self.positions


@dataclass
class AccuracyReport:
    """Scores by protocol, on random bytes, and how they were made."""

    machine: list[str]
    stage: str
    protocols: list[ProtocolScore] = field(default_factory=list)
    random: list[RandomScore] = field(default_factory=list)

    def macro(self, family: str | None = None) -> BoundaryScore | None:
        """Return the mean over protocols (of one family), each protocol counting once."""
        chosen = [s for s in self.protocols if family in (None, s.family)]
        scores = [s.boundaries for s in chosen if s.boundaries]
        return mean(scores) if scores else None

    def macro_types(self, family: str | None = None) -> tuple[float, float] | None:
        """Return mean V-measure and adjusted Rand index over protocols with at least two true types."""
        scores = [s.types for s in self.protocols if s.types and family in (None, s.family)]
        if not scores:
            return None
        return sum(s.v for s in scores) / len(scores), sum(s.ari for s in scores) / len(scores)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        macro, types = self.macro(), self.macro_types()
        return {
            "machine": self.machine, "stage": self.stage,
            "macro": asdict(macro) if macro else None,
            "types": dict(zip(("v", "ari"), types, strict=True)) if types else None,
            "random": [{**asdict(r), "rate": r.rate} for r in self.random],
            "protocols": [asdict(score) for score in self.protocols],
        }  # fmt: skip

    def to_markdown(self) -> str:
        """Return the tables with the machine above them."""
        stage = f"stage: {self.stage}; distinct messages; macro = mean over protocols"
        lines = ["```", *self.machine, stage, "```", ""]
        lines += ["| | protocols | precision | recall | F1 | FMS | perfect | type V | type ARI | seconds |"]
        lines += ["|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|", self._row("**all**", None)]
        names = sorted({score.family for score in self.protocols if score.family})
        lines += [self._row(name, name) for name in names]
        lines += ["", "| random bytes | positions | false boundaries | rate |", "|---|--:|--:|--:|"]
        lines += [f"| {r.shape} | {r.positions:,} | {r.boundaries:,} | {r.rate:.4f} |" for r in self.random]
        lines += ["", "| protocol | messages | precision | recall | F1 | FMS | perfect | type V | type ARI | seconds |"]
        lines += ["|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"]
        lines += [
            f"| {s.protocol} | {s.messages} | {_cells(s.boundaries)} | {_types(s.types)} | {s.seconds:.2f} |"
            for s in self.protocols
        ]
        lines += [f"\n{s.protocol} failed, and scores as if nothing was found: {s.failure}" for s in self.failed]
        return "\n".join(lines) + "\n"

    @property
    def failed(self) -> list[ProtocolScore]:
        """Protocols on which discovery raised an error."""
        return [score for score in self.protocols if score.failure]

    def _row(self, name: str, family: str | None) -> str:
        chosen = [s for s in self.protocols if family in (None, s.family)]
        types = self.macro_types(family)
        shown = f"{types[0]:.3f} | {types[1]:.3f}" if types else "– | –"
        seconds = sum(s.seconds for s in chosen)
        return f"| {name} | {len(chosen)} | {_cells(self.macro(family))} | {shown} | {seconds:.1f} |"


def _cells(score: BoundaryScore | None) -> str:
    if score is None:
        return " | ".join("–" * 5)
    return " | ".join(f"{value:.3f}" for value in asdict(score).values())


def _types(score: TypeScore | None) -> str:
    return f"{score.v:.3f} | {score.ari:.3f}" if score else "– | –"


def score_protocol(labelled: Labelled, family: str, predictor: Predictor) -> ProtocolScore:
    """Run a predictor on one protocol and score its distinct messages; where it fails it has found nothing."""
    start, failure = time.perf_counter(), ""
    try:
        inferred = predictor(labelled.batch)
    except QbitelError as error:
        inferred, failure = Inferred([[]] * len(labelled.batch), [0] * len(labelled.batch)), str(error)
    seconds = time.perf_counter() - start
    lengths = labelled.batch.view().lengths.tolist()
    scores = [score_message(labelled.boundaries[i], inferred.boundaries[i], lengths[i]) for i in labelled.distinct]
    defined = [score for score in scores if score]
    return ProtocolScore(
        protocol=labelled.name,
        family=family,
        messages=len(labelled.distinct),
        seconds=seconds,
        boundaries=mean(defined) if defined else None,
        types=_score_types(labelled, inferred),
        failure=failure,
    )


def _score_types(labelled: Labelled, inferred: Inferred) -> TypeScore | None:
    if not labelled.types:
        return None
    true = [labelled.types[i] for i in labelled.distinct]
    return score_types(true, [inferred.types[i] for i in labelled.distinct]) if len(set(true)) > 1 else None


def score_random(predictor: Predictor, messages: int = RANDOM_MESSAGES) -> list[RandomScore]:
    """Return the false boundaries on random bytes: short, long and of one length."""
    rng = np.random.default_rng(RANDOM_SEED)
    shapes = {"4 to 24 bytes": (4, 25), "20 to 200 bytes": (20, 201), "64 bytes": (64, 65)}
    made = []
    for shape, (low, high) in shapes.items():
        payloads = [rng.bytes(int(rng.integers(low, high))) for _ in range(messages)]
        found = predictor(MessageBatch.from_payloads(payloads)).boundaries
        made.append(RandomScore(shape, sum(len(p) - 1 for p in payloads), sum(map(len, found))))
    return made


def evaluate_accuracy(
    corpus_dir: Path, *, protocols: Sequence[str] | None = None, limit: int | None = None, stage: str = "engine"
) -> AccuracyReport:
    """
    Score discovery against a folder of labelled messages, without labels, hints or settings per protocol.

    Args:
        corpus_dir: as ``load_corpus`` reads it. protocols: only these. limit: at most so many distinct messages each.
        stage: ``engine`` (a specification, its parser) or ``segmenter`` (thresholded probabilities alone).

    Raises:
        InputError: the folder holds no labelled protocols.
    """
    predictor, family_of = PREDICTORS[stage], families(corpus_dir)
    report = AccuracyReport(machine_lines(), stage)
    for labelled in load_corpus(corpus_dir, protocols, limit):
        report.protocols.append(score_protocol(labelled, family_of.get(labelled.name, ""), predictor))
    report.random = score_random(predictor)
    return report
