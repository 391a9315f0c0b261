"""``qbitel doctor``: what is installed, what is missing, and what cannot work, in words."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from . import EXIT_MISSING
from .console import out, print_json
from .places import needs_extra

EXTRAS = ("cluster", "pandas", "train")
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)[^;]*(?:;.*\bextra == ['\"](?P<extra>[^'\"]+)['\"])?")
PROGRAMS = {
    "tshark": "to run the exported dissector (Debian package tshark)",
    "dot": "to draw the exported graph (Debian package graphviz)",
}


@click.command("doctor")
@click.option("--workers", metavar="N|MIN:MAX", help="Whether a training with so many workers can start here.")
@click.option("--cpus", type=float, help="Logical cores of each of them (1).")
@click.option("--source-cpus", type=float, help="Logical cores of what makes examples for each (0.5).")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor_command(as_json: bool, workers: str | None, cpus: float | None, source_cpus: float | None) -> None:
    """Check this installation; exit code 7 if the base is incomplete, or if what was asked about cannot start."""
    checks = [*_packages(), *_programs(), *_machine()]
    if workers:
        checks.append(_training(workers, {"cpus": cpus, "source_cpus": source_cpus}))
    broken = [check for check in checks if check["status"] in ("missing", "cannot") and check["needed"]]
    if as_json:
        print_json({"checks": checks, "ok": not broken})
    else:
        for check in checks:
            colour = {"ok": "green", "missing": "red" if check["needed"] else "yellow", "cannot": "red"}.get(
                str(check["status"]), "yellow"
            )
            said = f"{check['name']:20}{check['detail']}"
            out.print(Text.assemble((f"{check['status']:8}", colour), said), soft_wrap=True)
    if broken:
        sys.exit(EXIT_MISSING)


@needs_extra("cluster")
def _training(workers: str, chosen: dict[str, Any]) -> dict[str, object]:
    """Say whether a Ray that is started here has the cores without which such a training waits for ever."""
    from ..cluster.ray_start import need_cores
    from ..cluster.settings import ServiceSettings
    from ..discovery.errors import LimitError
    from .train import workers_of

    team, there = workers_of(workers, chosen), ServiceSettings().ray_cpus
    try:
        need_cores(team.cores, str(team), there)
    except LimitError as error:
        return {"name": "training", "status": "cannot", "needed": True, "detail": str(error)}
    detail = f"{team} needs {team.cores:g} of {there} logical cores"
    return {"name": "training", "status": "ok", "needed": True, "detail": detail}


def _packages() -> list[dict[str, object]]:
    """Check what the installed package itself says that it needs: the base, then what each extra adds."""
    wanted: dict[str, str] = {}
    for found in map(_REQUIREMENT.match, metadata.requires("qbitel") or ()):
        if found and (found["extra"] is None or found["extra"] in EXTRAS):
            wanted.setdefault(found["name"], found["extra"] or "")
    return [
        _package(name, not extra, f"pip install 'qbitel[{extra}]'" if extra else "pip install qbitel")
        for name, extra in sorted(wanted.items(), key=lambda item: ("", *EXTRAS).index(item[1]))
    ]


def _package(name: str, needed: bool, how: str) -> dict[str, object]:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return {"name": name, "status": "missing", "needed": needed, "detail": f"not installed: {how}"}
    return {"name": name, "status": "ok", "needed": needed, "detail": version}


def _programs() -> list[dict[str, object]]:
    checks: list[dict[str, object]] = []
    for name, why in PROGRAMS.items():
        path = shutil.which(name)
        checks.append({"name": name, "status": "ok" if path else "missing", "needed": False, "detail": path or why})
    return checks


def _machine() -> list[dict[str, object]]:
    python = platform.python_version()
    checks: list[dict[str, object]] = [{"name": "python", "status": "ok", "needed": True, "detail": python}]
    cores = os.cpu_count() or 1
    detail = f"{cores}" if cores >= 2 else f"{cores}: the service starts its parts on fractions of a core, but slowly"
    checks.append(
        {"name": "processor cores", "status": "ok" if cores >= 2 else "low", "needed": False, "detail": detail}
    )
    free = shutil.disk_usage(Path.cwd()).free >> 20
    status = "ok" if free > 1024 else "low"
    checks.append({"name": "free disk", "status": status, "needed": False, "detail": f"{free} MiB"})
    return checks
