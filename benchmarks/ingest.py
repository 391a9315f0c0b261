"""
Speed of ingest to acknowledgement: one process, 100-byte messages in batches of 1 MB, fsync on.

    python -m benchmarks.ingest [--messages 1000000] [--repeats 3] [--folder DIR]

Prints machine, versions, command, and for each repeat messages/s by the clock and by CPU time (of this process). A
repeat adds the same messages under new keys to one stream, so that later repeats show statistics that are full.
"""

from __future__ import annotations

import argparse
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import sqlalchemy

from benchmarks.message_statistics import batch, updated
from qbitel.actors.ingest import Keyed, cut, ingest
from qbitel.actors.node import Node
from qbitel.cluster.database import open_engine
from qbitel.cluster.manifest import Manifest, Stream
from qbitel.cluster.storage import Storage
from qbitel.discovery.settings import DiscoverySettings
from qbitel.train.evaluation.machine import processor


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Speed of ingest to acknowledgement.")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", help="where the journal is written; its disk is part of what is measured")
    arguments = parser.parse_args()
    messages = batch("structured", arguments.messages)
    updated(messages.slice(0, 1000))  # compiles the kernels
    print(f"machine: {processor()}")
    print(f"python: {platform.python_version()}, pyarrow {pa.__version__}, SQLAlchemy {sqlalchemy.__version__}")
    print(f"command: python -m benchmarks.ingest {' '.join(sys.argv[1:])}")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        manifest = Manifest(open_engine(Path(folder) / "catalog.sqlite", durable=True))
        settings = DiscoverySettings().model_dump(mode="json")
        node = Node(Storage(folder), manifest, manifest.add_stream(Stream("s", 64, settings, None, 0)), "bench")
        for repeat in range(arguments.repeats):
            clock, cpu = time.perf_counter(), time.process_time()
            ingest(node, (Keyed(f"{repeat}/{start}", "0" * 16, rows) for start, rows in cut(messages)))
            node.statistics()
            clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
            print(f"repeat {repeat}: {arguments.messages / clock:,.0f} messages/s by the clock, "
                  f"{arguments.messages / cpu:,.0f} by CPU time, peak {peak} MiB")  # fmt: skip
        manifest.close()


if __name__ == "__main__":
    main()
