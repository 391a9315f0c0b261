"""``qbitel classify``: the known is named with reasons, the unknown keeps its name from call to call."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_known_protocols_are_named_with_reasons(run: Run, example_captures: Path) -> None:
    """A capture of Modbus is called that, and facts that speak for it stand below."""
    done = run("classify", example_captures / "modbus.pcap", "--reasons", "1")
    head, *below = done.stdout.splitlines()
    assert done.returncode == 0
    assert ": modbus (" in head
    assert any(line.lstrip().startswith("+") for line in below)


def test_an_unknown_protocol_has_one_name_in_two_captures(run: Run, example_captures: Path, tmp_path: Path) -> None:
    """The store of the first call gives the second capture's messages the same name; JSON tells it."""
    store, named = tmp_path / "unknowns.json", []
    for capture in ("plant.pcapng", "plant_tcp.pcapng"):
        done = run("classify", example_captures / capture, "--unknowns", store, "--json", "--reasons", "0")
        told = [json.loads(line) for line in done.stdout.splitlines()]
        named.append({one["cluster"] for one in told if one["protocol"] is None})
    assert named[0] and named[0] == named[1]
