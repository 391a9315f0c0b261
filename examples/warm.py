"""Compile the engine's kernels once, by running it: numba keeps what it compiled for the runs that follow."""

from __future__ import annotations

import tempfile
from pathlib import Path

from qbitel.api import discover_all
from qbitel.discovery.validator import MessageValidator
from qbitel.results import write_results

CAPTURES = Path(__file__).parent / "captures"


def main() -> None:
    """Discover the example captures, write the results away, and validate the messages."""
    found = discover_all([CAPTURES / "plant.pcapng", CAPTURES / "plant_tcp.pcapng"])
    with tempfile.TemporaryDirectory() as folder:
        write_results(Path(folder), [(each.result, each.messages) for each in found.protocols])
    for each in found.protocols:
        MessageValidator(each.result.spec, "enterprise").validate_batch(each.messages.slice(0, 64))


if __name__ == "__main__":
    main()
