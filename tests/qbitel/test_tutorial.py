"""The tutorial and the README say what works: their commands are run as they stand."""

from __future__ import annotations

import re
import shlex
import struct
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from qbitel import Parser, ProtocolSpec
from qbitel.discovery.validator import rules_from

ROOT = Path(__file__).parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]
# What starts a service, opens a window, goes on until it is interrupted, or installs is run by `make` and other tests.
LEFT_OUT = (
    "make", "wireshark", "pip", "curl", ".", ".venv/bin/qbitel",
    "qbitel serve", "qbitel doctor", "qbitel ingest --follow", "qbitel ingest s3://",
)  # fmt: skip


def commands(page: str) -> list[str]:
    """Return the indented lines of a page that are commands, without their remarks."""
    lines = re.findall(r"^    (\S.*)$", re.sub(r"```.*?```", "", page, flags=re.DOTALL), flags=re.MULTILINE)
    return [line.split("  #")[0].strip() for line in lines if not line.startswith(LEFT_OUT)]


def later(capture: bytes) -> bytes:
    """Return the same packets as another file: a block that readers skip is added."""
    return capture + struct.pack("<III", 0x0BAD, 12, 12)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example_captures: Path) -> Path:
    """A folder with the captures that the pages name."""
    plant = (example_captures / "plant.pcapng").read_bytes()
    (tmp_path / "examples").symlink_to(example_captures.parent)
    for name in ("capture.pcapng", "other.pcapng", "tomorrow.pcapng"):
        (tmp_path / name).write_bytes(later(plant) if name == "tomorrow.pcapng" else plant)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", ["docs/tutorial.md", "README.md"])
def test_the_commands_of_a_page_work(page: str, desk: Path, run: Run) -> None:
    """Each command ends well; a message that is really invalid may make ``validate`` say no."""
    listed = commands((ROOT / page).read_text(encoding="utf-8"))
    assert len(listed) >= 5
    for line in listed:
        words = shlex.split(line.split("|")[0])
        if words[0] == "qbitel":
            run(*words[1:], expect=1 if words[1] == "validate" else 0)
        elif words[0] != "dot":
            shell = line.replace("python ", f"{shlex.quote(sys.executable)} ")
            done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 0 and done.stdout.startswith("t07"), (line, done.stdout, done.stderr)


def test_the_python_of_the_readme_runs(desk: Path) -> None:
    """The example of the Python API runs as it stands and gives a row and a verdict for each message."""
    (text,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (desk / "readme.py").write_text(text + "print(len(messages), table.num_rows, len(verdicts))\n", encoding="utf-8")
    done = subprocess.run([sys.executable, "readme.py"], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["842"] * 3, done.stderr


def test_the_rule_of_the_tutorial_is_a_rule_of_its_protocol(desk: Path, run: Run) -> None:
    """The TOML example names a field that is found, and loads."""
    run("discover", "examples/captures/plant.pcapng", "--out", "found")
    text = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"), re.DOTALL)
    spec = ProtocolSpec.from_bytes((desk / "found" / "udp_20547" / "spec.json").read_bytes())
    (rule,) = rules_from(tomllib.loads(text[0])["rule"], Parser(spec).symbols)
    assert rule.message
