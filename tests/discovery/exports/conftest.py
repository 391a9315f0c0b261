"""The readers of exports, as fixtures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from qbitel.train.evaluation.dissection import TSHARK, Leaf, python_leaves, tshark_leaves

Reader = Callable[[str, Sequence[bytes]], list[list[Leaf]]]


@pytest.fixture
def in_tshark(tmp_path: Path) -> Reader:
    """Read messages with a dissector in a real tshark."""
    if TSHARK is None:
        pytest.skip("tshark is not installed (Debian package tshark; CI installs it)")
    return lambda dissector, messages: tshark_leaves(dissector, messages, tmp_path)


@pytest.fixture
def in_python(tmp_path: Path) -> Reader:
    """Read messages with an exported module in an isolated interpreter."""
    return lambda source, messages: python_leaves(source, messages, tmp_path)
