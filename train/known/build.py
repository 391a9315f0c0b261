"""
Build the training set of known protocols.

    python -m qbitel.train.known.build --out known --seed 1 [--messages 400] [--protocol NAME ...]

Writes one Parquet file a protocol with the columns protocol, source_pcap (``made:<protocol>:<site>``), direction,
payload: each site is one call of a generator, and counts as one capture. Needs the packages of the extra ``known``.
The same seed gives the same bytes where no running server, clock or key is involved; the others (ftp, irc, redis,
smtp, s7comm, opcua, tls, dtls) differ in nonces, times and ports.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ...discovery.errors import NotFoundError
from .said import Said, Talk

ROOMS = ("industry", "link", "messaging", "names", "security", "services", "text")
MOST_SITES, LEAST_SITES = 60, 8
NAMES = {1: "c2s", 2: "s2c"}


def talks() -> dict[str, Talk]:
    """Return the generator of every protocol; imports the implementations."""
    logging.getLogger("scapy").setLevel(logging.ERROR)  # warns of missing devices
    found: dict[str, Talk] = {}
    for room in ROOMS:
        found |= import_module(f".{room}", __package__).TALKS
    return dict(sorted(found.items()))


def sites(talk: Talk, name: str, seed: int, messages: int) -> list[list[Said]]:
    """Return what sites say, each payload once, until there are so many messages of at least ``LEAST_SITES`` sites."""
    made: list[list[Said]] = []
    seen: set[bytes] = set()
    while len(made) < MOST_SITES and (len(seen) < messages or len(made) < LEAST_SITES):
        start = f"{name}:{seed}:{len(made)}"
        random.seed(start)  # Scapy draws some defaults from the shared generator
        fresh = []
        for side, payload in talk(random.Random(start)):
            if payload and payload not in seen:
                seen.add(payload)
                fresh.append((side, payload))
        made.append(fresh)
    return made


def write(folder: Path, name: str, made: Sequence[Sequence[Said]]) -> int:
    """Write one protocol's file; return its messages."""
    rows = [(f"made:{name}:{site}", *one) for site, said in enumerate(made) for one in said]
    table = pa.table(
        {
            "protocol": pa.array([name] * len(rows)),
            "source_pcap": pa.array([row[0] for row in rows]),
            "direction": pa.array([NAMES.get(row[1], "unknown") for row in rows]),
            "payload": pa.array([row[2] for row in rows], pa.large_binary()),
        }
    )
    pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
    return len(rows)


def build(folder: Path, seed: int = 1, messages: int = 400, only: Sequence[str] | None = None) -> dict[str, int]:
    """
    Write the set and return protocol → messages.

    Raises:
        NotFoundError: there is no generator of a protocol in ``only``.
    """
    known = talks()
    for name in only or ():
        if name not in known:
            raise NotFoundError(f"no generator of '{name}'", hint=f"there are: {', '.join(known)}")
    folder.mkdir(parents=True, exist_ok=True)
    return {name: write(folder, name, sites(known[name], name, seed, messages)) for name in only or known}


def main() -> None:
    """Build and print how many messages each protocol has."""
    parser = argparse.ArgumentParser(description="Build the training set of known protocols.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--messages", type=int, default=400)
    parser.add_argument("--protocol", action="append", dest="protocols")
    arguments = parser.parse_args()
    made = build(arguments.out, arguments.seed, arguments.messages, arguments.protocols)
    sys.stdout.write("\n".join(f"{name} {count}" for name, count in made.items()) + f"\n{len(made)} protocols\n")


if __name__ == "__main__":
    main()
