"""
How simulated protocols differ from labelled ones, and how fast they are made.

    python -m benchmarks.simulator --corpus DIR [--draws 600] [--limit 200]

Describes each protocol of DIR (its first distinct messages) and each simulated one by widths of fields, lengths, types,
bytes and entropy, and prints the quartiles over protocols side by side, binary and text apart. The last column is the
largest gap between the two cumulative distributions over protocols (Kolmogorov and Smirnov: 0 the same, 1 apart).
Then groups of messages and training examples a second on one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qbitel.train.boundaries.examples import example
from qbitel.train.evaluation.corpus import families, load_corpus
from qbitel.train.evaluation.machine import page_head
from qbitel.train.simulator import FAMILIES, simulate

MEASURES = (
    "fields of 1 byte", "of 2", "of 3", "of 4", "of 5 to 8", "of 9 to 16", "of 17 to 64", "longer",
    "median length", "90 % length", "messages of the usual length", "fields a message", "entropy, bits a byte",
    "zero bytes", "printable bytes", "types",
)  # fmt: skip
EDGES = (1, 2, 3, 4, 8, 16, 64)
FIRST = 2_000_000
TIMED = 200


@dataclass(frozen=True)
class Described:
    """One protocol: whether it is text, and its measures."""

    text: bool
    measures: NDArray[np.float64]


def describe(messages: Sequence[bytes], boundaries: Sequence[Sequence[int]], types: int) -> NDArray[np.float64]:
    """Return the measures of one protocol, in the order of ``MEASURES``."""
    cuts = [[0, *(b for b in found if 0 < b < len(m)), len(m)] for m, found in zip(messages, boundaries, strict=True)]
    widths = np.concatenate([np.diff(cut) for cut in cuts])
    shares = np.bincount(np.searchsorted(EDGES, widths), minlength=len(EDGES) + 1) / len(widths)
    lengths = np.array([len(m) for m in messages])
    data = np.frombuffer(b"".join(messages), np.uint8)
    share = np.bincount(data, minlength=256) / max(1, len(data))
    entropy = -(share[share > 0] * np.log2(share[share > 0])).sum()
    usual = np.bincount(lengths).max() / len(lengths)
    fields = np.median([len(cut) - 1 for cut in cuts])
    spread = [np.median(lengths), np.quantile(lengths, 0.9), usual, fields]
    return np.array([*shares, *spread, entropy, share[0], share[32:127].sum(), types], np.float64)


def labelled(folder: Path, limit: int) -> Iterable[Described]:
    """Yield the protocols of a folder."""
    kinds = families(folder)
    for one in load_corpus(folder, limit=limit):
        payloads = one.batch.payloads()
        types = len({one.types[i] for i in one.distinct}) if one.types else 0
        measures = describe([payloads[i] for i in one.distinct], [one.boundaries[i] for i in one.distinct], types)
        yield Described(kinds.get(one.name) == "text", measures)


def simulated(draws: int) -> Iterable[Described]:
    """Yield simulated protocols; those of random bytes have no like in the labelled ones and are left out."""
    for seed in range(FIRST, FIRST + draws):
        made = simulate(seed)
        if made.family != "noise":
            measures = describe(made.messages, made.boundaries, len(set(made.types)))
            yield Described(made.family == "text", measures)


def apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the largest gap between two empirical cumulative distributions."""
    at = np.concatenate([one, other])
    shares = [np.searchsorted(np.sort(values), at, side="right") / len(values) for values in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def table(title: str, real: NDArray[np.float64], made: NDArray[np.float64]) -> list[str]:
    """Return the rows of one table: quartiles of each measure over labelled and over simulated protocols."""
    lines = ["", f"| {title} | {len(real)} labelled | {len(made)} simulated | gap |", "|---|---|---|--:|"]
    for index, name in enumerate(MEASURES):
        shown = " | ".join(_quartiles(side[:, index]) for side in (real, made))
        lines.append(f"| {name} | {shown} | {apart(real[:, index], made[:, index]):.2f} |")
    return lines


def _quartiles(values: NDArray[np.float64]) -> str:
    return " · ".join(f"{quartile:.3g}" for quartile in np.quantile(values, [0.25, 0.5, 0.75]))


def speeds() -> list[str]:
    """Return groups and examples a second of processor time."""
    made = []
    for name, run in (("groups of messages", simulate), ("training examples", example)):
        run(FIRST)
        start, messages = time.process_time(), 0
        for seed in range(FIRST, FIRST + TIMED):
            messages += len(getattr(run(seed), "messages", ()))
        rate = TIMED / (time.process_time() - start)
        shown = f" ({rate * messages / TIMED:,.0f} messages/s)" if messages else ""
        made.append(f"- {name}: {rate:.0f} a second on one core{shown}")
    return made


def report(folder: Path, draws: int, limit: int) -> str:
    """Return the page."""
    real, made = list(labelled(folder, limit)), list(simulated(draws))
    total = sum(weight for weight, _ in FAMILIES.values())
    shares = ", ".join(f"{name} {weight / total:.0%}" for name, (weight, _) in FAMILIES.items())
    lines = [page_head("Simulated protocols"), "Quartiles over protocols (25 · 50 · 75 %)."]
    lines.append(f"Simulated families: {shares}.")
    for title, text in (("binary", False), ("text", True)):
        sides = [np.array([d.measures for d in side if d.text == text]) for side in (real, made)]
        if all(len(side) for side in sides):
            lines += table(title, *sides)
    return "\n".join([*lines, "", *speeds()]) + "\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Simulated protocols against labelled ones.")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=600)
    parser.add_argument("--limit", type=int, default=200)
    arguments = parser.parse_args()
    sys.stdout.write(report(arguments.corpus, arguments.draws, arguments.limit))


if __name__ == "__main__":
    main()
