"""
Precision and recall of field labels on a labelled corpus.

    python -m benchmarks.semantics --corpus DIR [--protocol NAME ...] [--detail]
    python -m benchmarks.semantics --simulated 300 [--detail]

``DIR`` holds one Parquet file a protocol with the columns payload, ts, stream, src, dst, sport, dport, direction,
is_dup, msg_type, field_names, field_starts, field_lengths, field_types and semantics (start, length, label). Only what
the truth can refute is judged (``label_truth``). A true label counts as found where a leaf of the same bytes has a
label of its class: the first three figures therefore hold boundaries and labels together. The last two are of labels
alone: of true fields whose bytes are a leaf of ours. Both are pooled over the fields of all protocols. ``--simulated``
takes so many simulated protocols instead, whose truth is exact; their lines of detail are of families.
"""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import platform
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.parser import Parser
from qbitel.discovery.proposal import propose
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.spec import ProtocolSpec
from qbitel.discovery.statistics import MessageStatistics
from qbitel.train.evaluation.machine import processor
from qbitel.train.simulator import simulate

from .label_truth import CLASSES, EXPLANATION, Place, Truth, truths

_OUTCOMES = ("hit", "missed", "mislabelled", "wrong", "misplaced", "unjudged")
SEEDS = 1000
"""Seeds of simulated protocols below this one are those that no network was fitted on."""
_DIRECTIONS = {"c2s": 1, "s2c": 2}


def address_bytes(text: str | None) -> bytes | None:
    """Return the bytes of an IP or MAC address."""
    if not text:
        return None
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(text).packed
    with contextlib.suppress(ValueError):
        return bytes.fromhex(text.replace(":", ""))
    return None


def read(path: Path) -> tuple[MessageBatch, list[Truth]]:
    """Return a protocol's messages and what the truth says of each; nothing of one that repeats an earlier payload."""
    columns = pq.read_table(path).to_pydict()
    flows = {stream: i + 1 for i, stream in enumerate(dict.fromkeys(columns["stream"]))}
    batch = MessageBatch.from_payloads(
        [payload or b"" for payload in columns["payload"]],
        ts=columns["ts"],
        flow=[flows[stream] for stream in columns["stream"]],
        direction=[_DIRECTIONS.get(direction, 0) for direction in columns["direction"]],
        src=[address_bytes(text) for text in columns["src"]],
        dst=[address_bytes(text) for text in columns["dst"]],
        sport=columns["sport"],
        dport=columns["dport"],
    )
    return batch, truths(columns)


_TRUTH = {"id": "transaction_id", "counter": "sequence", "text": "string"}
_KINDS = {"timestamp": "FT_ABSOLUTE_TIME", "checksum": "FT_UINT32"}


def simulated(seed: int) -> tuple[str, MessageBatch, list[Truth]]:
    """Return the family of a simulated protocol, its messages and their truth; fields are named by label and rank."""
    made = simulate(seed)
    columns: dict[str, list[Any]] = {"payload": list(made.messages), "msg_type": [str(kind) for kind in made.types]}
    columns["is_dup"] = [message in made.messages[:i] for i, message in enumerate(made.messages)]
    parts: list[str] = ["field_names", "field_starts", "field_lengths", "field_types", "semantics"]
    columns |= {part: [] for part in parts}
    for message, cuts, labels in zip(made.messages, made.boundaries, made.semantics, strict=True):
        starts = [0, *cuts]
        lengths = [end - start for start, end in zip(starts, [*cuts, len(message)], strict=True)]
        named = {(start, length): label for start, length, label in labels}
        kinds = [named.get(place, "number") for place in zip(starts, lengths, strict=True)]
        columns["field_names"].append([f"{kind}{kinds[:i].count(kind)}" for i, kind in enumerate(kinds)])
        columns["field_starts"].append(starts)
        columns["field_lengths"].append(lengths)
        columns["field_types"].append([_KINDS.get(kind, "FT_BYTES") for kind in kinds])
        columns["semantics"].append(
            [
                {"start": start, "length": length, "label": _TRUTH.get(kind, kind)}
                for start, length, kind in zip(starts, lengths, kinds, strict=True)
            ]
        )
    return made.family, made.batch(), truths(columns)


@contextlib.contextmanager
def _stage(_name: str) -> Iterator[Any]:
    yield argparse.Namespace(message="")


def labelled(batch: MessageBatch, settings: DiscoverySettings) -> list[dict[Place, str]]:
    """Discover a specification from the messages and return the label of each of their fields."""
    gathered = MessageStatistics(settings)
    gathered.update(batch, "00" * 8)
    spec = propose(ProtocolSpec(), gathered.sample(), settings, _stage, lambda found: found)
    parser = Parser(spec)
    parsed = parser.parse_batch(batch.view())
    names = [symbol.semantic for symbol in parser.symbols] + ["unknown"]
    found: list[dict[Place, str]] = [{} for _ in range(len(batch))]
    for row, start, length, symbol in zip(
        parsed.leaf_row.tolist(), parsed.leaf_start.tolist(), parsed.leaf_length.tolist(),
        parsed.leaf_symbol.tolist(), strict=True,
    ):  # fmt: skip
        found[row][start, length] = names[symbol]
    return found


def score(truth: list[Truth], found: list[dict[Place, str]]) -> Counter[tuple[str, str]]:
    """
    Return counts by (class, what).

    ``hit``; ``missed`` (no leaf has these bytes); ``mislabelled`` (a leaf has them, with another label); ``wrong``
    (a label that the truth refutes); ``misplaced`` (it shares only some bytes with a labelled field); ``unjudged``.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for true, got in zip(truth, found, strict=True):
        for name, (_, ours) in CLASSES.items() if true.fields else ():
            for place in true.wanted[name]:
                counts[name, "hit" if got.get(place) in ours else "mislabelled" if place in got else "missed"] += 1
            for place, label in got.items():
                if label in ours and place not in true.wanted[name]:
                    counts[name, true.verdict(name, place)] += 1
    return counts


def rates(counts: Counter[tuple[str, str]], name: str) -> tuple[float, ...] | None:
    """Return precision, recall and F1 of fields, then precision and recall of labels; None where nothing is judged."""
    hit, missed, mislabelled = (counts[name, what] for what in ("hit", "missed", "mislabelled"))
    wrong = counts[name, "wrong"]
    astray = wrong + counts[name, "misplaced"]
    true = hit + missed + mislabelled
    if not true + astray:
        return None
    fields = hit / max(hit + astray, 1), hit / max(true, 1), 2 * hit / max(true + hit + astray, 1)
    return *fields, hit / max(hit + wrong, 1), hit / max(hit + mislabelled, 1)


def report(results: dict[str, Counter[tuple[str, str]]], detail: bool) -> Iterator[str]:
    """Yield the lines of the page: a table of the classes; with ``detail`` also the protocols of each."""
    yield "| label | protocols | true fields | P | R | F1 | P, field found | R, field found | F1, macro |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for name in CLASSES:
        single = {protocol: r for protocol, counts in results.items() if (r := rates(counts, name)) is not None}
        pooled = sum(results.values(), Counter())
        total = rates(pooled, name)
        if total is None:
            continue
        true = sum(pooled[name, what] for what in ("hit", "missed", "mislabelled"))
        figures = " | ".join(f"{value:.2f}" for value in (*total, statistics.mean(r[2] for r in single.values())))
        yield f"| {name} | {len(single)} | {true:,} | {figures} |"
        for protocol, figures_of in sorted(single.items()) if detail else ():
            numbers = " ".join(f"{what} {results[protocol][name, what]}" for what in _OUTCOMES)
            yield f"    {protocol:<14} P {figures_of[0]:.2f} R {figures_of[1]:.2f} F1 {figures_of[2]:.2f}  {numbers}"


def _inputs(arguments: argparse.Namespace) -> Iterator[tuple[str, MessageBatch, list[Truth]]]:
    """Yield name, messages and truth of each protocol that is asked for."""
    for seed in range(min(arguments.simulated, SEEDS)):
        yield simulated(seed)
    for path in sorted(arguments.corpus.glob("*.parquet")) if arguments.corpus else ():
        if not arguments.protocol or path.stem in arguments.protocol:
            yield path.stem, *read(path)


def main() -> None:
    """Measure and print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--corpus", type=Path)
    source.add_argument("--simulated", type=int, default=0, help="so many simulated protocols")
    parser.add_argument("--protocol", nargs="*", default=[])
    parser.add_argument("--detail", action="store_true", help="one line a protocol and class")
    arguments = parser.parse_args()
    settings = DiscoverySettings()
    results: dict[str, Counter[tuple[str, str]]] = {}
    started = time.perf_counter()
    print("# Labels of fields\n")
    for name, batch, truth in _inputs(arguments):
        try:
            results[name] = results.get(name, Counter()) + score(truth, labelled(batch, settings))
        except (ValueError, ArithmeticError) as error:  # counted: one fault does not hide the others
            print(f"FAILED {name}: {str(error).splitlines()[0]}")
    print(f"{processor()}, Python {platform.python_version()}, NumPy {np.__version__}.")
    print(f"`{' '.join(['python -m benchmarks.semantics', *sys.argv[1:]])}`:", end=" ")
    print(
        f"{len(results)} protocols in {time.perf_counter() - started:.0f} s; the same input gives the same figures.\n"
    )
    print("\n".join(report(results, arguments.detail)))
    print(f"\n{EXPLANATION}")


if __name__ == "__main__":
    main()
