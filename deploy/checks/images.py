"""Dockerfiles, as hadolint reads them, and against what pods ask of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .tools import ROOT, ToolError

IMAGES = ROOT / "deploy" / "images"
USER = "10001:10001"


def faults(dockerfile: Path) -> list[str]:
    """
    Return what is wrong with a Dockerfile.

    Raises:
        ToolError: hadolint is not installed.
    """
    program = Path(sys.executable).with_name("hadolint")
    if not program.exists():
        raise ToolError("no hadolint: pip install -e '.[dev]'")
    done = subprocess.run([program, "--no-color", dockerfile], check=False, capture_output=True, text=True, timeout=60)
    found = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()] if done.returncode else []
    lines = dockerfile.read_text().splitlines()
    if [line for line in lines if line.startswith("USER ")][-1:] != [f"USER {USER}"]:
        found.append(f"{dockerfile.name}: does not end as user {USER}, as whom pods run")
    return found
