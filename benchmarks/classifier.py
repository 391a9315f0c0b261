"""
How well protocols are told apart, and the unknown from the known; how long that takes.

    python -m benchmarks.classifier --corpus DIR [--unknown DIR] [--steps 800] [--shipped] > docs/figures/classifier.md

DIR holds one Parquet file a protocol with payload, source_pcap and direction. Protocols with five captures or more are
known; the others, and those in the second folder, are never shown to a model. Some minutes on one core; needs the extra
``train``. Ports, addresses and times are not read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.classifier import ProtocolClassifier
from qbitel.discovery.classifier.model import Model
from qbitel.train.classifier.examples import Examples, folds_of, read_examples
from qbitel.train.evaluation.classification import (
    DNS_LIKE,
    LEAST_CAPTURES,
    Judged,
    cross_validated,
    of_model,
    plain_forest,
)
from qbitel.train.evaluation.corpus import families
from qbitel.train.evaluation.machine import PACKAGES, page_head, timed
from qbitel.train.simulator import simulate

HEAD = (
    "| | protocols | macro F1, groups to 32 | single | without opaque, groups | single "
    "| DNS-like as one, groups | single "
    "| unknown AUROC, groups | single | ECE, groups | single |"
)


def row(name: str, answers: dict[int, Judged], opaque: tuple[str, ...], unknown: bool = True) -> str:
    """Return one line of the table."""
    both = (answers[32], answers[1])
    cells = [f"{len(answers[1].per_protocol())}", *(f"{one.macro():.3f}" for one in both)]
    cells += [f"{one.macro(without=opaque):.3f}" for one in both]
    cells += [f"{one.macro(together=DNS_LIKE):.3f}" for one in both]
    cells += [f"{one.auroc():.3f}" if unknown else "" for one in both]
    cells += [f"{one.calibration_error():.3f}" if unknown else "" for one in both]
    return f"| {name} | " + " | ".join(cells) + " |"


def reliability(name: str, answers: dict[int, Judged]) -> list[str]:
    """Return the reliability tables as lines with bars."""
    lines = [
        "",
        f"### Reliability: {name}",
        "",
        "| messages | mean probability | share right | | groups |",
        "|---|--:|--:|---|--:|",
    ]
    for size, one in answers.items():
        for sure, right, count in one.reliability():
            lines.append(f"| {size} | {sure:.2f} | {right:.2f} | {'#' * round(20 * right)} | {count} |")
    return lines


def speed(model: Model) -> list[str]:
    """Return the times of one message, a batch of 256 and many messages, warm, on one core."""
    classifier = ProtocolClassifier(model)
    many = MessageBatch.concatenate([simulate(seed).batch() for seed in range(40)]).slice(0, 20_000)
    lines = ["", "## Speed (simulated messages, warm, one core)", "", "| | seconds: median (range) |", "|---|---|"]
    for name, size in (("one message", 1), ("a group of 32", 32)):
        part = many.slice(0, size)
        lines.append(f"| classify, {name} | {timed(lambda p=part: classifier.classify(p), 50, 5)} |")
    for name, size, repeats in (("256 messages", 256, 30), (f"{len(many)} messages", len(many), 5)):
        part = many.slice(0, size)
        taken = timed(lambda p=part: classifier.classify_each(p), repeats, 2)
        lines.append(f"| classify_each, {name} | {taken}, {size / taken.median:,.0f} messages/s |")
    return lines


def per_protocol(cross: dict[int, Judged], shipped: dict[int, Judged], opaque: tuple[str, ...]) -> list[str]:
    """Return F1 protocol by protocol."""
    lines = [
        "",
        "## By protocol (F1)",
        "",
        "| protocol | groups | single | shipped, groups | single |",
        "|---|--:|--:|--:|--:|",
    ]
    asked = [one[size] if one else None for one in (cross, shipped) for size in (32, 1)]
    scores = [one.per_protocol() if one else {} for one in asked]
    for name in sorted(set(scores[0]) | set(scores[2])):
        cells = [f"{score[name]:.2f}" if name in score else "" for score in scores]
        lines.append(f"| {name}{' (opaque)' if name in opaque else ''} | " + " | ".join(cells) + " |")
    return lines


def merged(one: Examples, folder: Path | None) -> Examples:
    """Return the protocols with few captures, with those of the second folder."""
    few = {name for name, count in zip(one.protocols, one.captures_of(), strict=True) if count < LEAST_CAPTURES}
    strange = one.only(few)
    if folder is None:
        return strange
    more = read_examples(folder)
    from qbitel.train.classifier.examples import joined

    return Examples(
        joined(strange.inputs, more.inputs), np.append(strange.label, more.label + len(strange.protocols)),
        np.append(strange.capture, more.capture + len(strange.captures)),
        strange.protocols + more.protocols, strange.captures + more.captures,
    )  # fmt: skip


def main() -> None:
    """Fit, judge, time, print."""
    parser = argparse.ArgumentParser(description="Figures of the protocol classifier.")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--unknown", type=Path)
    parser.add_argument("--shipped", action="store_true", help="judge the shipped weights only, fit nothing")
    parser.add_argument("--steps", type=int, default=800)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    every = read_examples(arguments.corpus)
    known = every.only({n for n, c in zip(every.protocols, every.captures_of(), strict=True) if c >= LEAST_CAPTURES})
    strange = merged(every, arguments.unknown)
    opaque = tuple(name for name, family in families(arguments.corpus).items() if family == "encrypted")
    model = ProtocolClassifier.load().model
    shipped = {size: of_model(model, every, size) for size in (1, 32)}
    cross: dict[int, Judged] = {}
    rows = []
    if not arguments.shipped:
        fold = folds_of(known)
        plain = {size: plain_forest(known, fold, size) for size in (1, 32)}
        cross, _ = cross_validated(known, strange, arguments.steps, lambda line: print(line, file=sys.stderr))
        rows = [row("plain forest, same folds", plain, opaque, unknown=False)]
        rows.append(row("the vote, same folds", cross, opaque))
    lines = [page_head("Classifier", (*PACKAGES, "torch", "scikit-learn"))]
    lines += [
        f"{len(known.label)} distinct messages, {len(known.protocols)} protocols of {LEAST_CAPTURES} captures or more,",
        "five folds by capture; a payload counts once. Unknown: " + ", ".join(strange.protocols) + ".",
        f"Opaque: {', '.join(opaque)}. DNS-like: {', '.join(DNS_LIKE)}.", "", HEAD, "|---" * 12 + "|",
        *rows,
        row("shipped, trained on generated traffic only", shipped, opaque), "",
        f"The shipped model knows {len(model.protocols)} protocols; its line is over those that the corpus has too,",
        "and its unknown ones are all others of the corpus.",
    ]  # fmt: skip
    lines += [*speed(model), *(reliability("same folds", cross) if cross else []), *reliability("shipped", shipped)]
    sys.stdout.write("\n".join([*lines, *per_protocol(cross, shipped, opaque)]) + "\n")


if __name__ == "__main__":
    main()
