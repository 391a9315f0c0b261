"""
How well protocols are told apart, and the unknown from the known; how long that takes.

    python -m benchmarks.classifier --corpus DIR [--unknown DIR] [--plot docs/figures/reliability.svg] [--shipped]

DIR holds one Parquet file a protocol with payload, source_pcap and direction. Protocols with five captures or more are
known; the others, and those in the second folder, are never shown to a model. Five trainings as ``qbitel train
classifier`` runs them, each judged on the fifth of the captures that it was not shown: some 17 min of one core.
Needs the extra ``train``. Ports, addresses and times are not read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import homogeneity_completeness_v_measure

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.classifier import ProtocolClassifier, UnknownClusters
from qbitel.discovery.classifier.classifier import MOST_READ
from qbitel.discovery.classifier.clusters import OFFSETS, signature_of_front
from qbitel.discovery.classifier.model import Model
from qbitel.train.classifier.examples import Examples, groups_of, joined, read_examples
from qbitel.train.classifier.task import ClassifierTask
from qbitel.train.evaluation.classification import (
    DNS_LIKE,
    LEAST_CAPTURES,
    MEMBERS,
    UNKNOWN_SHARE,
    Judged,
    cross_validated,
    of_model,
    plain_forest,
)
from qbitel.train.evaluation.corpus import families
from qbitel.train.evaluation.machine import PACKAGES, page_head, timed
from qbitel.train.evaluation.reliability import reliability_plot
from qbitel.train.sets import labelled_files
from qbitel.train.simulator import simulate

HEAD = (
    "| | protocols | macro F1, groups to 32 | single | without opaque, groups | single "
    "| DNS-like as one, groups | single "
    "| unknown AUROC, groups | single | ECE given known, groups | single | ECE, groups | single |"
)
COLUMNS = 14
PLAIN, VOTE = "plain forest: 32 bytes and the length", "the vote"


def row(name: str, answers: dict[int, Judged], opaque: tuple[str, ...], unknown: bool = True) -> str:
    """Return one line of the table."""
    both = (answers[32], answers[1])
    cells = [f"{len(answers[1].per_protocol())}", *(f"{one.macro():.3f}" for one in both)]
    cells += [f"{one.macro(without=opaque):.3f}" for one in both]
    cells += [f"{one.macro(together=DNS_LIKE):.3f}" for one in both]
    cells += [f"{one.auroc():.3f}" if unknown else "" for one in both]
    cells += [f"{one.calibration_error(named):.3f}" if unknown else "" for named in (False, True) for one in both]
    return f"| {name} | " + " | ".join(cells) + " |"


def reliability(name: str, answers: dict[int, Judged]) -> list[str]:
    """Return the reliability tables as lines with bars."""
    lines = []
    for named, title in ((False, "known protocols, given that they are known"), (True, "all, as it is told")):
        lines += ["", f"### Reliability: {name}; {title}", ""]
        lines += ["| messages | mean probability | share right | | of all |", "|---|--:|--:|---|--:|"]
        for size, one in answers.items():
            for sure, right, share in one.reliability(named):
                lines.append(f"| {size} | {sure:.2f} | {right:.2f} | {'#' * round(20 * right)} | {share:.1%} |")
    return lines


def curves(vote: dict[int, Judged], shipped: dict[int, Judged]) -> dict[str, list[tuple[float, float, float]]]:
    """Return what the diagram shows: probabilities as they are told, half of the groups unknown."""
    return {
        f"{name}, {'groups to 32' if size > 1 else 'single messages'}": answers[size].reliability(named=True)
        for name, answers in (("the vote", vote), ("shipped", shipped))
        for size in sorted(answers, reverse=True)
    }


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


def names_of_unknown(strange: Examples) -> list[str]:
    """Return how well the names that captures of unknown protocols get tell these protocols apart."""
    clusters = UnknownClusters()
    every = groups_of(strange, np.arange(len(strange.label)), MOST_READ)
    first: dict[tuple[int, int], NDArray[np.int64]] = {}
    for group in every:
        first.setdefault((int(strange.label[group[0]]), int(strange.capture[group[0]])), group)
    order = sorted(first, key=lambda pair: strange.captures[pair[1]])  # protocols come by turns, as captures do
    fronts = {pair: strange.inputs.values[first[pair], :OFFSETS].astype(np.int64) for pair in order}
    named = [clusters.name_signature(signature_of_front(fronts[pair])) for pair in order]
    same, apart, both = homogeneity_completeness_v_measure([label for label, _ in order], named)
    return [
        "", "## Names of unknown protocols", "",
        f"The first group of up to {MOST_READ} messages of each of {len(order)} captures of {len(strange.protocols)}"
        f" protocols got {len(set(named))} names:",
        f"homogeneity {same:.2f} (a name is of one protocol), completeness {apart:.2f} (a protocol has one name),"
        f" V {both:.2f}.",
    ]  # fmt: skip


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
    return Examples(
        joined(strange.inputs, more.inputs), np.append(strange.label, more.label + len(strange.protocols)),
        np.append(strange.capture, more.capture + len(strange.captures)),
        strange.protocols + more.protocols, strange.captures + more.captures,
    )  # fmt: skip


def trained(corpus: Path, known: Examples, strange: Examples, examples: int) -> dict[str, dict[int, Judged]]:
    """Return the answers of models that saw none of a message's capture, by who answers and by size of the group."""
    files = {name: data for name, data in labelled_files(corpus).items() if Path(name).stem in known.protocols}
    made = cross_validated(files, strange, examples, lambda line: print(line, file=sys.stderr))
    return {
        PLAIN: {size: plain_forest(known, size) for size in (1, 32)},
        **{f"{name} alone": made[name] for name in MEMBERS},
        VOTE: made["vote"],
    }


def main() -> None:
    """Fit, judge, time, print."""
    parser = argparse.ArgumentParser(description="Figures of the protocol classifier.")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--unknown", type=Path)
    parser.add_argument("--shipped", action="store_true", help="judge the shipped weights only, fit nothing")
    parser.add_argument("--plot", type=Path, help="write the reliability diagram as SVG, and show it in the page")
    parser.add_argument("--examples", type=int, default=ClassifierTask.defaults["examples"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    every = read_examples(arguments.corpus)
    known = every.only({n for n, c in zip(every.protocols, every.captures_of(), strict=True) if c >= LEAST_CAPTURES})
    strange = merged(every, arguments.unknown)
    opaque = tuple(name for name, family in families(arguments.corpus).items() if family == "encrypted")
    model = ProtocolClassifier.load().model
    shipped = {size: of_model(model, every, size) for size in (1, 32)}
    cross = {} if arguments.shipped else trained(arguments.corpus, known, strange, arguments.examples)
    rows = [row(name, answers, opaque, unknown=name != PLAIN) for name, answers in cross.items()]
    vote = cross.get(VOTE, {})
    lines = [
        page_head("Classifier", (*PACKAGES, "torch", "scikit-learn")),
        f"{len(known.label)} distinct messages, {len(known.protocols)} protocols of {LEAST_CAPTURES} captures or more,",
        "five folds by capture; a payload counts once. Unknown: " + ", ".join(strange.protocols) + ".",
        f"Opaque: {', '.join(opaque)}. DNS-like: {', '.join(DNS_LIKE)}.",
        f"ECE: of all, {UNKNOWN_SHARE:.0%} of them unknown, the probability as it is told; given known: of known ones.",
        "", HEAD, "|---" * COLUMNS + "|",
        *rows,
        row("shipped, trained on generated traffic only", shipped, opaque), "",
        f"The shipped model knows {len(model.protocols)} protocols; its line is over those that the corpus has too,",
        "and its unknown ones are all others of the corpus.",
    ]  # fmt: skip
    if arguments.plot:
        arguments.plot.write_text(reliability_plot(curves(vote, shipped)), encoding="utf-8")
        lines += ["", f"![How often is right what is told]({arguments.plot.name})"]
    lines += [*names_of_unknown(strange), *speed(model)]
    lines += [*(reliability("the vote", vote) if vote else []), *reliability("shipped", shipped)]
    sys.stdout.write("\n".join([*lines, *per_protocol(vote, shipped, opaque)]) + "\n")


if __name__ == "__main__":
    main()
