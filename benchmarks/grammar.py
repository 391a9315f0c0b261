"""
The grammar: time of the stage, and how the bits per message fall.

    python -m benchmarks.grammar [--repeats 9] [--corpus DIR]

``stage`` runs ``learn_grammar`` on a generated protocol of two types (records with optional parts, nested elements);
``structure`` learns synthetic languages from their sequences alone, and prints held-out bits per message of the grammar
and of the flat one. With a corpus: the grammars of its
discovered protocols. Prints machine, versions, command, and the median with the lowest and highest of the repeats.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from pathlib import Path

import numpy as np

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.grammar import GrammarLearner, learn_grammar
from qbitel.discovery.orchestrator import ProtocolDiscoveryOrchestrator
from qbitel.discovery.parser import Parser
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.spec import Field, Fixed, FromLength, MessageType, ProtocolSpec, Repeat, Rest, Times, ValueGuard
from qbitel.discovery.statistics import StatisticalAnalyzer
from qbitel.train.evaluation.corpus import Labelled, load_corpus
from qbitel.train.evaluation.machine import page_head


def protocol() -> ProtocolSpec:
    """Return a protocol of records with optional notes, and of tagged values."""

    def byte(name: str) -> Field:
        return Field(name=name, width=Fixed(size=1), encoding="uint")

    record = [byte("size"), Field(name="note", width=FromLength(field="size"))]
    return ProtocolSpec(
        types=[
            MessageType(
                name="records",
                guards=[ValueGuard(offset=0, width=1, values=[b"\x01"])],
                elements=[
                    byte("kind"),
                    byte("count"),
                    Repeat(name="record", stop=Times(field="count"), elements=record),
                ],
            ),
            MessageType(
                name="value",
                guards=[ValueGuard(offset=0, width=1, values=[b"\x02"])],
                elements=[byte("kind"), byte("tag"), byte("flags"), Field(name="data", width=Rest())],
            ),
        ]
    )


def payloads(n: int) -> list[bytes]:
    """Return n messages of that protocol."""
    rng = np.random.default_rng(2)
    out = []
    for i in range(n):
        if i % 2:
            out.append(b"\x02" + rng.bytes(2 + int(rng.integers(0, 100))))
        else:
            sizes = rng.integers(0, 3, rng.integers(0, 9)).tolist()
            out.append(bytes([1, len(sizes)]) + b"".join(bytes([s]) + rng.bytes(s) for s in sizes))
    return out


def nested(rng: np.random.Generator, depth: int = 0) -> list[int]:
    """Draw items → item items | item; item → 0 1 2 | 3 1 items 4."""
    out: list[int] = []
    while True:
        out += [3, 1, *nested(rng, depth + 1), 4] if depth < 4 and rng.random() < 0.3 else [0, 1, 2]
        if rng.random() < 0.5:
            return out


def expression(rng: np.random.Generator) -> list[int]:
    """Draw E → E 1 E | E 2 E | 0."""
    out = [0]
    while rng.random() < 0.6:
        out += [1 + int(rng.random() < 0.3), 0]
    return out


def stage(n: int, repeats: int) -> dict[str, float]:
    """Return milliseconds of the stage for n messages, and the bits per message."""
    settings = DiscoverySettings()
    flow = [1 + i // 10 for i in range(n)]
    sample = StatisticalAnalyzer(settings).analyze(MessageBatch.from_payloads(payloads(n), flow=flow)).sample()
    spec, seconds = protocol(), []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        learned = learn_grammar(spec, sample, settings, Parser(spec))
        seconds.append(1e3 * (time.perf_counter() - start))
    grammar = learned.grammar
    return {
        "median_ms": statistics.median(seconds[1:]), "low_ms": min(seconds[1:]),
        "high_ms": max(seconds[1:]), "bits": grammar.bits_per_message, "flat_bits": grammar.flat_bits_per_message,
        "coverage": grammar.held_out_coverage, "rules": len(grammar.rules),
    }  # fmt: skip


def structure(name: str, repeats: int) -> dict[str, float]:
    """Return milliseconds and bits per message of learning a language from 400 sequences."""
    generate, tokens = {"nested": (nested, 5), "expression": (expression, 3)}[name]
    rng = np.random.default_rng(1)
    sequences = [np.array(s) for s in (generate(rng) for _ in range(400)) if len(s) <= 60]
    held = rng.random(len(sequences)) < 0.25
    vocabulary, seconds = [f"t{i}" for i in range(tokens)], []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        grammar = GrammarLearner().learn(sequences, vocabulary, held_out=held)
        seconds.append(1e3 * (time.perf_counter() - start))
    return {
        "median_ms": statistics.median(seconds[1:]), "low_ms": min(seconds[1:]), "high_ms": max(seconds[1:]),
        "rules": len(grammar.rules), "bits": grammar.bits_per_message, "flat_bits": grammar.flat_bits_per_message,
        "coverage": grammar.held_out_coverage,
    }  # fmt: skip


def learned(labelled: Labelled) -> str:
    """Return the line of a discovered protocol: its grammar, and held-out bits per message beside the flat one's."""
    grammar = ProtocolDiscoveryOrchestrator().discover(labelled.batch).spec.grammar
    if grammar is None:
        return f"| {labelled.name} | – | – | – | – | – | – |"
    optional = sum(1 for count in Counter(rule.left for rule in grammar.rules).values() if count > 1)
    bits, flat = grammar.bits_per_message, grammar.flat_bits_per_message
    figures = f"{len(grammar.likelihoods)} | {bits:.2f} | {flat:.2f} | {grammar.held_out_coverage:.3f}"
    return f"| {labelled.name} | {len(grammar.rules)} | {optional} | {figures} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time and bits of the grammar.")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--corpus", type=Path)
    arguments = parser.parse_args()
    print(page_head("Grammar"))
    print("Bits per message are those of held-out messages; flat: one rule a type, its fields in a row.\n")
    print("| what | median ms | lowest to highest | rules | bits | flat bits | coverage |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for n in (200, 10_000):
        print(row(f"stage, {n:,} messages", stage(n, arguments.repeats)))
    for name in ("nested", "expression"):
        print(row(f"structure, {name}", structure(name, arguments.repeats)), flush=True)
    if arguments.corpus:
        print("\n| protocol | rules | with alternatives | EM iterations | bits | flat bits | coverage |")
        print("|---|--:|--:|--:|--:|--:|--:|")
        for labelled in load_corpus(arguments.corpus):
            print(learned(labelled), flush=True)


def row(name: str, found: dict[str, float]) -> str:
    """Return a line of the first table."""
    times = f"{found['median_ms']:.2f} | {found['low_ms']:.2f} to {found['high_ms']:.2f}"
    bits = f"{found['bits']:.2f} | {found['flat_bits']:.2f} | {found['coverage']:.3f}"
    return f"| {name} | {times} | {found['rules']:.0f} | {bits} |"


if __name__ == "__main__":
    main()
