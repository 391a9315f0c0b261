"""
Ledgers that senders write as they go, held against the journal of a stream; one JSON document on the standard output.

    python -m qbitel.cluster.ledger_file --state URI --catalog ADDRESS --stream NAME LEDGER...
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from .ledger import Ledger
from .state import State
from .verify import journal_rows, verify_stream


class LedgerFile:
    """
    A sender's account on its own disk, a JSON document a line; a sender that was killed goes on where it was.

    A line begins with its line break, so that what a killed sender left is cut off from what it writes next.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, key: str, payloads: Iterable[bytes], at: float) -> None:
        """Note a batch before it is sent for the first time; ``at`` seconds."""
        self._write({"sent": key, "contents": [content(payload) for payload in payloads], "at": at})

    def acknowledge(self, key: str, at: float) -> None:
        """Note that a batch was acknowledged."""
        self._write({"acknowledged": key, "at": at})

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the lines in their order."""
        if not self._path.exists():
            return
        for line in self._path.read_text().splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue

    def _write(self, line: dict[str, Any]) -> None:
        with self._path.open("a") as file:
            file.write(f"\n{json.dumps(line)}")


def content(payload: bytes) -> str:
    """Return what stands for a message in a ledger (hexadecimal SHA-256, shortened to 128 bits)."""
    return sha256(payload).hexdigest()[:32]


def read_ledgers(paths: Iterable[Path]) -> Ledger:
    """Return what all senders know."""
    ledger = Ledger()
    for path in paths:
        for line in LedgerFile(path).lines():
            if "sent" in line:
                ledger.send(line["sent"], line["contents"])
            else:
                ledger.acknowledge(line["acknowledged"])
    return ledger


def main() -> int:
    """Judge the journal of a stream by ledgers."""
    parser = argparse.ArgumentParser(prog="python -m qbitel.cluster.ledger_file")
    parser.add_argument("--state", required=True)
    parser.add_argument("--catalog", required=True)
    parser.add_argument("--stream", required=True)
    parser.add_argument("ledgers", type=Path, nargs="+")
    arguments = parser.parse_args()
    state = State(arguments.state, arguments.catalog)
    stream = state.manifest.stream(arguments.stream)
    verification = verify_stream(state.storage, state.manifest, stream)
    found: dict[str, Any] = {"digest": verification.digest, "problems": verification.problems}
    rows = journal_rows(state.storage, state.manifest, stream)
    verdict = read_ledgers(arguments.ledgers).judge((key, content(payload)) for key, payload in rows)
    sys.stdout.write(f"{json.dumps({**found, **asdict(verdict)})}\n")
    return 0 if verdict.sound else 1


if __name__ == "__main__":
    sys.exit(main())
