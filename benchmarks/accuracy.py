"""
Accuracy of discovery on labelled messages that it has never seen; no labels, no hints.

    python -m benchmarks.accuracy --corpus DIR [--stage engine|segmenter] [--protocol NAME ...] [--limit N] [--json]

Prints machine, versions and command, then boundary precision, recall, F1, Format Match Score and perfect fields, type
V-measure and adjusted Rand index (over protocols, per family, per protocol), and false boundaries on random bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from qbitel.train.evaluation import evaluate_accuracy
from qbitel.train.evaluation.accuracy import PREDICTORS


def main() -> None:
    """Evaluate and print."""
    parser = argparse.ArgumentParser(description="Accuracy of discovery on labelled messages.")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--stage", choices=sorted(PREDICTORS), default="engine")
    parser.add_argument("--protocol", action="append", dest="protocols")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    report = evaluate_accuracy(
        arguments.corpus, protocols=arguments.protocols, limit=arguments.limit, stage=arguments.stage
    )
    sys.stdout.write(json.dumps(report.to_dict(), indent=1) if arguments.json else report.to_markdown())


if __name__ == "__main__":
    main()
