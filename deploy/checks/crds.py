"""Fetch the operators' CRDs, as ``make crds`` does: pinned versions, each file held to its SHA-256."""

from __future__ import annotations

import hashlib
import sys
import urllib.request
from pathlib import Path

from .tools import ROOT, ToolError

_RAW = "https://raw.githubusercontent.com"
BASES = {
    "kuberay": f"{_RAW}/ray-project/kuberay/v1.7.0/ray-operator/config/crd/bases",
    "prometheus-operator": f"{_RAW}/prometheus-operator/prometheus-operator/v0.93.0/example/prometheus-operator-crd",
    "gateway-api": f"{_RAW}/kubernetes-sigs/gateway-api/v1.6.1/config/crd/standard",
}
SUMS = Path(__file__).with_name("crds.sha256")
"""Lines of a checksum and ``project/file upstream-file``."""
LARGEST = 16 << 20
PATIENCE_S = 60


def fetch(folder: Path, bases: dict[str, str] | None = None) -> int:
    """
    Fetch all CRDs into a folder, and return how many.

    Raises:
        ToolError: one is not what was pinned. OSError: it cannot be fetched.
    """
    bases, count = BASES if bases is None else bases, 0
    for line in SUMS.read_text().splitlines():
        digest, name, upstream = line.split()
        project, _, file = name.partition("/")
        with urllib.request.urlopen(f"{bases[project]}/{upstream}", timeout=PATIENCE_S) as answer:
            content = answer.read(LARGEST)
        if hashlib.sha256(content).hexdigest() != digest:
            raise ToolError(f"{project}/{file} is not the file that was pinned")
        (folder / project).mkdir(parents=True, exist_ok=True)
        (folder / project / file).write_bytes(content)
        count += 1
    return count


if __name__ == "__main__":
    where = ROOT / "build" / "crds"
    try:
        sys.stdout.write(f"{fetch(where)} CRDs in {where.relative_to(ROOT)}\n")
    except (OSError, ToolError) as error:
        sys.exit(f"no CRDs: {error}; or set QBITEL_CRDS to a folder that has them")
