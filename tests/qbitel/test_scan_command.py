"""``qbitel scan``: names what it found, and says so with its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("yara_x")
from click.testing import CliRunner

from qbitel.cli import EXIT_NO, cli


def test_scan_says_what_it_found(tmp_path: Path, example_captures: Path) -> None:
    """An honest capture is exit code 0; one message with a look-up for Log4j is exit code 1, with the row."""
    bad = tmp_path / "bad.hex"
    bad.write_text("".join(f"{line.hex()}\n" for line in (b"fine", b"${" + b"jndi:ldap://x/}", b"fine")))
    honest = CliRunner().invoke(cli, ["scan", str(example_captures / "plant.pcapng")])
    assert (honest.exit_code, honest.output.endswith("messages, 0 rules matched\n")) == (0, True)
    found = CliRunner().invoke(cli, ["scan", str(bad)])
    assert (found.exit_code, "scan: rule log4shell (" in found.output) == (EXIT_NO, True)
    document = json.loads(CliRunner().invoke(cli, ["scan", str(bad), "--json"]).stdout)
    assert [each["rule"] for each in document["findings"]] == ["log4shell"]
    assert document["messages"] == 3
