"""
Fuzz targets: bytes in, nothing but the engine's own errors out.

    pip install atheris
    python tests/fuzz/targets.py reader|spec|parser|rules [libFuzzer options, for instance -max_total_time=600]

Coverage-guided with atheris where it is installed; ``tests/fuzz/test_targets.py`` runs every target on random and
mutated input in the ordinary suite.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.captures import CaptureLimits, messages_of, read_capture
from qbitel.discovery.errors import QbitelError
from qbitel.discovery.framing import infer_framing
from qbitel.discovery.parser import Parser
from qbitel.discovery.spec import ProtocolSpec
from qbitel.discovery.validator import MessageValidator, rules_from

LIMITS = CaptureLimits(input_bytes=1 << 20, expanded_bytes=1 << 22)


def fuzz_reader(data: bytes) -> None:
    """Read a capture, frame its streams and cut them."""
    try:
        capture = read_capture(data, limits=LIMITS)
        for group in capture.groups:
            framing = infer_framing(group.streams)[0] if group.stream else ProtocolSpec().framing
            messages_of(group, framing)
    except QbitelError:
        pass


def fuzz_spec(data: bytes) -> None:
    """Load a specification, and what loads must compile or be refused, and write itself back."""
    try:
        spec = ProtocolSpec.from_bytes(data)
        Parser(spec)
    except QbitelError:
        return
    if ProtocolSpec.from_bytes(spec.to_bytes()) != spec:
        raise AssertionError("the specification does not read back")


def fuzz_parser(data: bytes) -> None:
    """Split the input into a specification and a message; parse, judge and rebuild within the limits."""
    document, _, message = data.partition(b"\xff\x00\xff")
    try:
        spec = ProtocolSpec.from_bytes(document)
        parser = Parser(spec)
    except QbitelError:
        return
    parsed = parser.parse_batch(MessageBatch.from_payloads([message]))
    covered = int(parsed.leaf_length.sum())
    if covered != len(message):
        raise AssertionError(f"leaves cover {covered} of {len(message)} bytes")
    MessageValidator(spec, "strict").validate(message)


def fuzz_rules(data: bytes) -> None:
    """Load custom rules."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    with suppress(QbitelError):
        rules_from(document, [])


TARGETS: dict[str, Callable[[bytes], None]] = {
    "reader": fuzz_reader,
    "spec": fuzz_spec,
    "parser": fuzz_parser,
    "rules": fuzz_rules,
}

if __name__ == "__main__":
    import atheris

    chosen = TARGETS[sys.argv.pop(1)]
    atheris.instrument_all()
    atheris.Setup(sys.argv, chosen)
    atheris.Fuzz()
