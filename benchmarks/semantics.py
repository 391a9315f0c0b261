"""
Precision and recall of field labels on a labelled corpus.

    python -m benchmarks.semantics --corpus DIR [--protocol NAME ...]

``DIR`` holds one Parquet file a protocol with the columns payload, ts, stream, src, dst, sport, dport, direction,
is_dup and semantics (start, length, label). A label counts as found where a leaf of the same bytes has a label of its
class; macro figures are means over the protocols in which a class occurs in truth or result.
"""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import platform
import statistics
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

# class → (labels of the truth, labels of the specification); labels of the truth outside a class are not judged
CLASSES: dict[str, tuple[set[str], set[str]]] = {
    "length": ({"length"}, {"length"}),
    "checksum": ({"checksum"}, {"checksum"}),
    "identifier": ({"transaction_id", "sequence"}, {"identifier", "counter", "echo"}),
    "timestamp": ({"timestamp"}, {"timestamp"}),
    "text": ({"string"}, {"text"}),
    "constant": ({"constant", "magic", "version", "padding"}, {"constant", "magic", "version", "padding"}),
    "address": ({"address"}, {"address"}),
    "type": ({"type"}, {"type"}),
    "flags": ({"flags"}, {"flags"}),
    "count": ({"count"}, {"count"}),
}
_OUTCOMES = ("hit", "missed", "wrong", "misplaced", "unjudged")
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


def read(path: Path) -> tuple[MessageBatch, list[dict[tuple[int, int], str]]]:
    """Return a protocol's messages and the true labels of each, by (start, length)."""
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
    truth = [
        {} if duplicate else {(item["start"], item["length"]): item["label"] for item in labels}
        for labels, duplicate in zip(columns["semantics"], columns["is_dup"], strict=True)
    ]
    return batch, truth


@contextlib.contextmanager
def _stage(_name: str) -> Iterator[Any]:
    yield argparse.Namespace(message="")


def labelled(batch: MessageBatch, settings: DiscoverySettings) -> list[dict[tuple[int, int], str]]:
    """Discover a specification from the messages and return the label of each of their fields."""
    gathered = MessageStatistics(settings)
    gathered.update(batch, "00" * 8)
    spec = propose(ProtocolSpec(), gathered.sample(), settings, _stage, lambda found: found)
    parser = Parser(spec)
    parsed = parser.parse_batch(batch.view())
    names = [symbol.semantic for symbol in parser.symbols] + ["unknown"]
    found: list[dict[tuple[int, int], str]] = [{} for _ in range(len(batch))]
    for row, start, length, symbol in zip(
        parsed.leaf_row.tolist(), parsed.leaf_start.tolist(), parsed.leaf_length.tolist(),
        parsed.leaf_symbol.tolist(), strict=True,
    ):  # fmt: skip
        found[row][start, length] = names[symbol]
    return found


def score(truth: list[dict[tuple[int, int], str]], found: list[dict[tuple[int, int], str]]) -> Counter[tuple[str, str]]:
    """
    Return counts by (class, what): ``hit``, ``missed``, ``wrong`` (these bytes have another label in the truth),
    ``misplaced`` (they share only some bytes with a labelled field) and ``unjudged`` (the truth has no label there).
    """
    counts: Counter[tuple[str, str]] = Counter()
    for true, got in zip(truth, found, strict=True):
        covered = {byte for start, length in true for byte in range(start, start + length)}
        for name, (wanted, ours) in CLASSES.items() if true else ():
            for place, label in true.items():
                if label in wanted:
                    counts[name, "hit" if got.get(place) in ours else "missed"] += 1
            for place, label in got.items():
                if label in ours and true.get(place) not in wanted:
                    inside = any(byte in covered for byte in range(place[0], sum(place)))
                    counts[name, "wrong" if place in true else "misplaced" if inside else "unjudged"] += 1
    return counts


def _rates(counts: Counter[tuple[str, str]], name: str) -> tuple[float, float, float] | None:
    hit, missed = counts[name, "hit"], counts[name, "missed"]
    wrong = counts[name, "wrong"] + counts[name, "misplaced"]
    if not hit + missed + wrong:
        return None
    precision, recall = hit / max(hit + wrong, 1), hit / max(hit + missed, 1)
    return precision, recall, 2 * hit / max(2 * hit + missed + wrong, 1)


def main() -> None:
    """Measure and print one line a class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--protocol", nargs="*", default=[])
    parser.add_argument("--detail", action="store_true", help="one line a protocol and class")
    arguments = parser.parse_args()
    settings = DiscoverySettings()
    results: dict[str, Counter[tuple[str, str]]] = {}
    started = time.perf_counter()
    for path in sorted(arguments.corpus.glob("*.parquet")):
        if not arguments.protocol or path.stem in arguments.protocol:
            batch, truth = read(path)
            try:
                results[path.stem] = score(truth, labelled(batch, settings))
            except (ValueError, ArithmeticError) as error:  # counted: one fault does not hide the others
                print(f"FAILED {path.stem}: {str(error).splitlines()[0]}")
    print(f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}")
    print(f"{len(results)} protocols in {time.perf_counter() - started:.0f} s")
    print(f"{'class':<11} protocols  macro P   macro R   macro F1  | pooled P  pooled R  pooled F1")
    for name in CLASSES:
        rates = {protocol: r for protocol, counts in results.items() if (r := _rates(counts, name)) is not None}
        if not rates:
            continue
        macro = [statistics.mean(r[i] for r in rates.values()) for i in range(3)]
        pooled = _rates(sum(results.values(), Counter()), name) or (0.0, 0.0, 0.0)
        columns = ["".join(f"{value:<10.3f}" for value in part) for part in (macro, pooled)]
        print(f"{name:<11} {len(rates):>9}  {' | '.join(columns)}")
        for protocol, (precision, recall, f1) in sorted(rates.items()) if arguments.detail else ():
            counts = results[protocol]
            numbers = " ".join(f"{what} {counts[name, what]}" for what in _OUTCOMES)
            print(f"    {protocol:<14} P {precision:.2f} R {recall:.2f} F1 {f1:.2f}  {numbers}")


if __name__ == "__main__":
    main()
