"""
Do the exported dissector, in a real tshark, and the exported Python module read what the engine's own parser reads?

    python -m benchmarks.dissectors --corpus DIR [--messages 300] [--protocol NAME ...]

For every protocol of a folder of labelled Parquet files: discover, export, run tshark and a separate Python on
distinct messages, and compare the byte range of every field of every message. Exit code 1 if any differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from qbitel.discovery.exports import export
from qbitel.discovery.orchestrator import ProtocolDiscoveryOrchestrator
from qbitel.train.evaluation.corpus import load_corpus
from qbitel.train.evaluation.dissection import own_leaves, python_leaves, tshark_leaves
from qbitel.train.evaluation.machine import page_head


def main() -> int:
    """Print a table and return the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--corpus", type=Path, required=True)
    arguments.add_argument("--messages", type=int, default=300)
    arguments.add_argument("--protocol", action="append")
    given = arguments.parse_args()
    print(page_head("Exports compared"))
    print("| protocol | messages | fields | tshark differs | Python differs |\n|---|--:|--:|--:|--:|")
    differing = 0
    for labelled in load_corpus(given.corpus, given.protocol, given.messages):
        spec = ProtocolDiscoveryOrchestrator().discover(labelled.batch).spec
        payloads = labelled.batch.payloads()
        messages = [payloads[row] for row in labelled.distinct[: given.messages] if payloads[row]]
        expected = [sorted(leaves) for leaves in own_leaves(spec, messages)]
        with tempfile.TemporaryDirectory() as folder:
            in_tshark = tshark_leaves(export(spec, "wireshark"), messages, Path(folder))
            in_python = python_leaves(export(spec, "python"), messages, Path(folder))
        wrong = [
            sum(read != own for read, own in zip(found, expected, strict=True))
            for found in (in_tshark, [sorted(leaves) for leaves in in_python])
        ]
        differing += sum(wrong)
        fields = sum(map(len, expected))
        print(f"| {labelled.name} | {len(messages)} | {fields} | {wrong[0]} | {wrong[1]} |", flush=True)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
