"""
How many threads a process of the service should work with: ``python -m benchmarks.threads``.

Each figure is requests a second of one process whose threads parse, validate or classify bodies of so many messages,
and the longest that a short task beside them waited: the event loop competes with them for the interpreter.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter, sleep

from qbitel import MessageBatch, Parser, discover, read_capture
from qbitel.cluster.threads import pin_threads
from qbitel.discovery.classifier import ProtocolClassifier
from qbitel.discovery.validator import MessageValidator

THREADS = (1, 2, 4, 8, 16)
SECONDS = 2.0
CAPTURE = Path(__file__).parents[1] / "examples" / "captures" / "dns.pcap"


def rate(work: Callable[[], object], threads: int) -> tuple[float, float]:
    """Return requests a second, and the longest wait in milliseconds of a task that asks for the interpreter."""
    until, longest = perf_counter() + SECONDS, 0.0

    def loop() -> int:
        done = 0
        while perf_counter() < until:
            work()
            done += 1
        return done

    begun = perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(loop) for _ in range(threads)]
        while perf_counter() < until:
            asked = perf_counter()
            sleep(0.001)
            longest = max(longest, perf_counter() - asked - 0.001)
        done = sum(each.result() for each in running)
    return done / (perf_counter() - begun), longest * 1000


def main() -> None:
    """Print the table."""
    pin_threads()
    batch = read_capture(CAPTURE).groups[0].batch
    spec = discover(CAPTURE)
    parser, validator, classifier = Parser(spec), MessageValidator(spec), ProtocolClassifier.load()
    one, many = batch.slice(0, 1), MessageBatch.concatenate([batch] * 4).slice(0, 2000)
    works: dict[str, Callable[[], object]] = {
        "parse 1": lambda: parser.parse(one.payloads()[0]).to_dict(),
        "parse 2000 (Arrow)": lambda: parser.parse_batch(many).to_arrow(),
        "validate 2000": lambda: validator.validate_batch(many),
        "classify 1": lambda: classifier.classify(one),
        "classify 64": lambda: classifier.classify(batch.slice(0, 64)),
    }
    sys.stdout.write("| work | " + " | ".join(f"{count} threads" for count in THREADS) + " |\n")
    sys.stdout.write("|---|" + "---|" * len(THREADS) + "\n")
    for name, work in works.items():
        work()
        cells = [rate(work, count) for count in THREADS]
        sys.stdout.write(f"| {name} | " + " | ".join(f"{a:.0f}/s, {b:.0f} ms" for a, b in cells) + " |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
