"""What the chart makes of each profile."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from .tools import ROOT, helm

CHART = ROOT / "deploy" / "kuberay"
PROFILES = sorted(path.stem for path in (CHART / "profiles").glob("*.yaml"))
RELEASE, NAMESPACE = "qbitel", "protocols"
Manifest = dict[str, Any]


class RenderError(Exception):
    """Helm makes nothing of the chart with these values."""


def lint(*values: str | Path, sets: tuple[str, ...] = ()) -> list[str]:
    """Return what ``helm lint --strict`` says against the chart with these files of values."""
    done = _helm("lint", "--strict", "--quiet", *_values(values, sets))
    return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()] if done.returncode else []


def render(*values: str | Path, sets: tuple[str, ...] = ()) -> list[Manifest]:
    """
    Return the objects that the chart makes with these files of values.

    Raises:
        RenderError: it makes none.
    """
    return documents(text(*values, sets=sets))


def text(*values: str | Path, sets: tuple[str, ...] = ()) -> str:
    """
    Return the same as text.

    Raises:
        RenderError: there is none.
    """
    done = _helm("template", RELEASE, "--namespace", NAMESPACE, *_values(values, sets))
    if done.returncode:
        raise RenderError(done.stderr.strip().replace("\n", " "))
    return done.stdout


def documents(rendered: str) -> list[Manifest]:
    """Return the objects of a text of YAML."""
    return [each for each in yaml.load_all(rendered, Loader=yaml.CSafeLoader) if each]


def profile(name: str) -> Path:
    """Return the values of a profile."""
    return CHART / "profiles" / f"{name}.yaml"


def _values(values: tuple[str | Path, ...], sets: tuple[str, ...]) -> list[str]:
    return [str(CHART), *(f"--values={each}" for each in values), *(f"--set={each}" for each in sets)]


def _helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([helm(), *arguments], check=False, capture_output=True, text=True, timeout=60)
