"""
What an analyst's labels of a few messages do for the messages that nobody labelled.

    python -m benchmarks.few_shot --corpus DIR [--labels 0 1 2 5] [--types 8] [--protocol NAME ...]

``DIR`` holds labelled messages, one Parquet file a protocol, as ``qbitel bench accuracy`` reads them. Of each of
the ``--types`` most frequent true types so many distinct messages, drawn with one seed, are labelled with their true
type and boundaries. Scored are the distinct messages that are labelled in no row of the table, the same in all rows.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from qbitel.discovery.analyst import AnalystLabels, MessageLabel
from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.orchestrator import ProtocolDiscoveryOrchestrator
from qbitel.discovery.parser import Parser
from qbitel.train.evaluation.accuracy import Inferred, ProtocolScore, score_protocol
from qbitel.train.evaluation.corpus import Labelled, load_corpus
from qbitel.train.evaluation.machine import machine_lines
from qbitel.train.evaluation.metrics import mean

SEED = 20261123
LEAST = 8  # messages that are left to be scored


def drawn(labelled: Labelled, types: int, most: int) -> list[list[int]]:
    """Return for each of the most frequent true types ``most`` of its distinct messages, in the order of drawing."""
    draw = np.random.default_rng(SEED)
    kinds = labelled.types or [""] * len(labelled.batch)
    rows = [row for row in labelled.distinct if labelled.batch.view().lengths[row]]
    frequent = [kind for kind, _ in Counter(kinds[row] for row in rows).most_common(types)]
    of_kind = [[row for row in rows if kinds[row] == kind] for kind in frequent]
    return [draw.permutation(mine)[:most].tolist() for mine in of_kind]


def labels_of(labelled: Labelled, rows: Sequence[Sequence[int]], number: int) -> AnalystLabels:
    """Return the true labels of the first ``number`` rows of each type."""
    view, made = labelled.batch.view(), []
    for kind, mine in enumerate(rows):
        for row in mine[:number]:
            payload = view.payload(row)
            told = re.sub(r"\W", "_", labelled.types[row], flags=re.ASCII)[:40] if labelled.types else ""
            cuts = tuple(sorted({cut for cut in labelled.boundaries[row] if 0 < cut < len(payload)}))
            made.append(MessageLabel(payload=payload, type=f"k{kind}_{told}" if told else None, boundaries=cuts))
    return AnalystLabels.of(made)


def score(labelled: Labelled, labels: AnalystLabels) -> ProtocolScore:
    """Return the scores of a discovery under labels."""

    def predict(batch: MessageBatch) -> Inferred:
        spec = ProtocolDiscoveryOrchestrator(labels=labels).discover(batch).spec
        parsed = Parser(spec).parse_batch(batch.view())
        return Inferred([parsed.boundaries(r).tolist() for r in range(len(parsed))], parsed.type_index.tolist())

    return score_protocol(labelled, "", predict)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--labels", type=int, nargs="+", default=[0, 1, 2, 5])
    parser.add_argument("--types", type=int, default=8)
    parser.add_argument("--protocol", nargs="+")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    scores: dict[int, list[ProtocolScore]] = {number: [] for number in options.labels}
    for labelled in load_corpus(options.corpus, options.protocol):
        rows = drawn(labelled, options.types, max(options.labels))
        taken = {row for mine in rows for row in mine}
        left = replace(labelled, distinct=[row for row in labelled.distinct if row not in taken])
        if len(left.distinct) >= LEAST:
            for number in options.labels:
                scores[number].append(score(left, labels_of(labelled, rows, number)))
    print_table(scores, options.types, time.perf_counter() - start)


def print_table(scores: dict[int, list[ProtocolScore]], types: int, seconds: float) -> None:
    """Print how the scores rise with the labels, over protocols."""
    print("# Labels of an analyst\n\n```", *machine_lines(), "```\n", sep="\n")
    print(f"Labels of each of the {types} most frequent types of a protocol; macro over protocols of the messages that "
          f"no row labels, {seconds:.0f} s in all; the same input gives the same figures.\n")  # fmt: skip
    print("| labels a type | protocols | F1 | FMS | perfect | V | F1, median change | worse > .01 | better > .01 |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    base = [s.boundaries.f1 if s.boundaries else 0.0 for s in next(iter(scores.values()))]
    for number, mine in scores.items():
        whole = mean([s.boundaries for s in mine if s.boundaries])
        v = statistics.mean(s.types.v for s in mine if s.types)
        change = [(s.boundaries.f1 if s.boundaries else 0.0) - b for s, b in zip(mine, base, strict=True)]
        worse, better = sum(c < -0.01 for c in change), sum(c > 0.01 for c in change)
        print(f"| {number} | {len(mine)} | {whole.f1:.3f} | {whole.fms:.3f} | {whole.perfect:.3f} | {v:.3f} "
              f"| {statistics.median(change):+.3f} | {worse} | {better} |")  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
