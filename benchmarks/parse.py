"""
Speed of parsing and validating, side by side with Scapy, Kaitai's Python runtime and dpkt.

    python -m benchmarks.parse [--messages 200000] [--repeats 7]

Three protocols (``specs.py``): a fixed header, DNS, and length + TLV + CRC. ``batch`` reads messages that lie in Arrow
and ends with an Arrow table of all columns; ``single`` reads one message after the other to a tree of nodes. Scapy,
Kaitai and dpkt read one message after the other, all of its fields; what has no parser there is written by hand
beside this file in the way of each library. Rates are messages per second of one core (processor time of this
process), the median of the repeats with the lowest and highest.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.parser import Parser
from qbitel.discovery.spec import ProtocolSpec
from qbitel.discovery.validator import MessageValidator
from qbitel.train.evaluation.machine import PACKAGES, page_head

from . import others, specs

DISTINCT = 4000
PROTOCOLS: dict[str, tuple[ProtocolSpec, Callable[[int], list[bytes]]]] = {
    "header": (specs.HEADER, specs.header_messages),
    "dns": (specs.DNS, specs.dns_messages),
    "tlv": (specs.TLV, specs.tlv_messages),
}


def rates(run: Callable[[], object], count: int, repeats: int) -> dict[str, float]:
    """Return messages per second: median, low and high of the repeats, after one warm-up."""
    run()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        found.append(count / (time.process_time() - start))
    return {"median": statistics.median(found), "low": min(found), "high": max(found)}


def batch_of(messages: Sequence[bytes], count: int) -> MessageBatch:
    """Return so many messages, the distinct ones over and over."""
    return MessageBatch.from_payloads([messages[index % len(messages)] for index in range(count)])


def each(read: Callable[[bytes], object], messages: Sequence[bytes]) -> Callable[[], None]:
    """Return a function that reads every message."""

    def run() -> None:
        for message in messages:
            read(message)

    return run


def measure(count: int, repeats: int) -> dict[str, dict[str, float]]:
    """Return name → rates."""
    results: dict[str, dict[str, float]] = {}
    for name, (spec, generate) in PROTOCOLS.items():
        messages = generate(DISTINCT)
        batch, parser = batch_of(messages, count), Parser(spec)
        assert parser.parse_batch(batch).explained.all()
        results[f"{name}: qbitel batch, to leaves"] = rates(lambda p=parser, b=batch: p.parse_batch(b), count, repeats)
        results[f"{name}: qbitel batch, to Arrow columns"] = rates(
            lambda p=parser, b=batch: p.parse_batch(b).to_arrow(), count, repeats
        )
        results[f"{name}: qbitel single, to a tree"] = rates(each(parser.parse, messages), len(messages), repeats)
        for library, read in others.READERS[name].items():
            read(messages[1])
            results[f"{name}: {library} single"] = rates(each(read, messages), len(messages), repeats)
        for level in ("standard", "strict"):
            validator = MessageValidator(spec, level)
            assert validator.validate_batch(batch).valid.all()
            results[f"{name}: qbitel validate, {level}"] = rates(
                lambda v=validator, b=batch: v.validate_batch(b), count, repeats
            )
    return results


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description="Speed of parsing and validating.")
    arguments.add_argument("--messages", type=int, default=200_000)
    arguments.add_argument("--repeats", type=int, default=7)
    given = arguments.parse_args()
    results = measure(given.messages, given.repeats)
    print(page_head("Parsing and validating", (*PACKAGES, "scapy", "kaitaistruct", "dpkt")))
    print("Messages a second of one core: the median of the repeats, the lowest and the highest.\n")
    print("| protocol | what | messages a second | lowest to highest |\n|---|---|--:|--:|")
    for name, row in results.items():
        protocol, what = name.split(": ")
        print(f"| {protocol} | {what} | {row['median']:,.0f} | {row['low']:,.0f} to {row['high']:,.0f} |")


if __name__ == "__main__":
    main()
