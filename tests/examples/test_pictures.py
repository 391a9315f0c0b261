"""The pictures of the documentation can be drawn from the tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]


def test_every_picture_of_the_documentation_is_drawn(tmp_path: Path) -> None:
    """The command draws each picture that a page shows, as SVG of some size with text in it."""
    if shutil.which("dot") is None:
        pytest.skip("needs graphviz (dot)")
    command = [sys.executable, "-m", "examples.pictures", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    page = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    shown = {part.split(")")[0] for part in page.split("](pictures/")[1:]}
    assert shown == {path.name for path in tmp_path.glob("*.svg")} and len(shown) >= 5
    for name in shown:
        tree = ElementTree.parse(tmp_path / name)
        assert sum(element.tag.endswith("text") for element in tree.iter()) > 4, name
        assert (ROOT / "docs" / "pictures" / name).is_file()
