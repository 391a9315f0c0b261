"""
The base alone discovers a capture: neither Ray nor torch nor anything else of the extras is there.

No network: the wheel is built from the tree and unpacked into a new virtual environment, which sees, by links, only the
distributions that the wheel's own metadata asks for (and what those ask for) without any extra.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
ABSENT = ("ray", "torch", "fastapi", "sqlalchemy", "pydantic_settings", "httpx", "pandas", "scapy", "hypothesis")


def needed(requirements: list[str]) -> set[str]:
    """Return the names of the distributions that these requirements need without extras, and what those need."""
    found: set[str] = set()
    waiting = list(requirements)
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(requirement.name)
        waiting.extend(metadata.requires(requirement.name) or [])
    return found


def link(names: set[str], target: Path) -> None:
    """Link the top-level files and folders of distributions into a folder."""
    for name in names:
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            there = target / top
            if not there.exists():
                there.symlink_to(Path(str(distribution.locate_file(top))))


@pytest.fixture(scope="module")
def base_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of a virtual environment that holds the wheel and its base dependencies."""
    folder = tmp_path_factory.mktemp("base")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(ROOT)], check=True, timeout=120)
    (wheel,) = folder.glob("qbitel-*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    ask = [str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]
    packages = Path(subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip())
    shutil.unpack_archive(wheel, packages, "zip")
    (info,) = packages.glob("qbitel-*.dist-info")
    link(needed(metadata.PathDistribution(info).requires or []), packages)
    return python


def run(python: Path, *arguments: str, cwd: Path) -> str:
    """Run the base's Python away from the tree and return what it prints."""
    # Kernels compiled here would be thrown away, after a minute of compiling: a few messages are read faster without.
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": ""}
    command = [str(python), *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_base_holds_nothing_of_the_extras(base_python: Path, tmp_path: Path) -> None:
    """None of the packages of the extras can be imported in the base's environment."""
    code = f"import importlib.util as u, json; print(json.dumps([n for n in {ABSENT!r} if u.find_spec(n)]))"
    assert json.loads(run(base_python, "-c", code, cwd=tmp_path)) == []


def test_type_checkers_see_the_types(base_python: Path) -> None:
    """The installed package says that it is typed: ``mypy --strict`` reads its signatures in a user's script."""
    assert list(base_python.parents[1].glob("lib/python3*/site-packages/qbitel/py.typed"))


def first_packets(capture: Path, count: int) -> bytes:
    """Return the first packets of a little-endian pcap file."""
    content, at = capture.read_bytes(), 24
    for _ in range(count):
        at += 16 + struct.unpack_from("<I", content, at + 8)[0]
    return content[:at]


@pytest.mark.parametrize(("name", "protocol"), [("dns.pcap", "udp_53"), ("modbus.pcap", "tcp_502")])
def test_base_discovers_a_capture(
    name: str, protocol: str, base_python: Path, tmp_path: Path, example_captures: Path
) -> None:
    """The command of an installed wheel reads packets, UDP and TCP, and writes parser and dissector from them."""
    (tmp_path / name).write_bytes(first_packets(example_captures / name, 100))
    told = run(base_python, "-m", "qbitel.cli", "discover", name, "--out", "out", "--json", cwd=tmp_path)
    (found,) = json.loads(told)["protocols"]
    assert (found["protocol"], found["partial"]) == (protocol, [])
    assert found["types"]
    assert (tmp_path / "out" / protocol / "dissector.lua").stat().st_size > 1000


@pytest.mark.parametrize("command", [["serve"], ["doctor", "--workers", "2"]])
def test_what_needs_an_extra_says_what_to_install(base_python: Path, tmp_path: Path, command: list[str]) -> None:
    """A command whose extra is not there is one line that says what to install, and exit code 7."""
    called = [str(base_python), "-m", "qbitel.cli", *command]
    done = subprocess.run(called, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (7, 1)
    assert "pip install 'qbitel[cluster]'" in done.stderr


def test_doctor_names_the_extra_of_what_is_missing(base_python: Path, tmp_path: Path) -> None:
    """``qbitel doctor`` writes the extra in its brackets, which a terminal's markup must not swallow."""
    told = run(base_python, "-m", "qbitel.cli", "doctor", cwd=tmp_path)
    assert "pip install 'qbitel[cluster]'" in told
    assert "pip install 'qbitel[train]'" in told
