"""Memory of each process of the service, idle and after load: ``python -m benchmarks.footprint``."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from qbitel.cluster.ray_start import free_port, ray_cluster
from qbitel.cluster.settings import ServiceSettings
from qbitel.serve_app.running import running_service
from qbitel.train.evaluation.machine import page_head

from .service.__main__ import discovered
from .service.requests import alone, fresh
from .service.wire import closed_loop

PACKAGES = ("qbitel", "ray", "fastapi", "pyarrow", "numba")
# What the command line of a process begins with or holds, and what it is called here.
PROCESSES = {
    "ray::ServeReplica:qbitel:Gateway": "gateway",
    "ray::ServeReplica:qbitel:DiscoveryWorker": "discovery worker",
    "ray::ProxyActor": "Serve's proxy",
    "ray::ServeController": "Serve's controller (head)",
    "ray::DashboardAgent": "agent of the node",
    "ray::RuntimeEnvAgent": "agent of environments",
    "gcs_server": "GCS (head)",
    "/raylet/raylet": "raylet",
    "dashboard.py": "dashboard (head)",
}
_HEAD = """
Memory that a process has alone (private, of `smaps_rollup`), MiB; what processes share counts for none of them. Ray's
object store comes on top: 30 % of a pod's memory, unless it is set.

| process | idle | after load |
|---|--:|--:|
"""


def measured() -> dict[str, int]:
    """Return the private memory of each process of this Ray, MiB."""
    found: dict[str, int] = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            lines = (process / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # it has ended, or belongs to another user
        name = next((called for part, called in PROCESSES.items() if part in command), None)
        if name is not None:
            private = sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
            found[name] = max(found.get(name, 0), private // 1024)
    return found


def main() -> None:
    """Measure, and print the page."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.footprint", description="Measure memory.")
    options.add_argument("--seconds", type=float, default=10.0, help="of each load")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="qbitel-memory-") as folder:
        settings = ServiceSettings(port=free_port(), data_dir=Path(folder))
        with ray_cluster(settings), running_service(settings) as address:
            spec_id = discovered(address)
            idle = measured()
            for load, connections in (*alone(spec_id), (fresh(), 4)):
                asyncio.run(closed_loop(address, load, connections, chosen.seconds))
            loaded = measured()
    rows = "".join(f"| {name} | {idle.get(name, 0):,} | {loaded[name]:,} |\n" for name in loaded)
    sys.stdout.write(page_head("Memory of the service", PACKAGES) + _HEAD + rows)


if __name__ == "__main__":
    main()
