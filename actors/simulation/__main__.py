"""
The crash campaign: seeded schedules, and one line of counts at the end.

    python -m qbitel.actors.simulation [--schedules 10000] [--seed 0] [--without epoch|keys|snapshot|division]

Exit code 1 where a message was lost or doubled, or is there though it was erased. ``--without`` takes a guard away, to
see the campaign report it.
"""

from __future__ import annotations

import argparse
import sys

from .campaign import run_campaign
from .world import Guards


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(prog="python -m qbitel.actors.simulation", description="The crash campaign.")
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without", choices=("epoch", "keys", "snapshot", "division"))
    arguments = parser.parse_args()
    without = arguments.without
    guards = Guards(without != "epoch", without != "keys", without != "snapshot", without != "division")
    result = run_campaign(arguments.schedules, arguments.seed, guards)
    sys.stdout.write(f"{result}\n")
    return 0 if result.sound else 1


if __name__ == "__main__":
    sys.exit(main())
