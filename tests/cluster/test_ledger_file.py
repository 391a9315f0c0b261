"""A sender's ledger on its disk is judged with others, whatever the end of the sender left in it."""

from __future__ import annotations

from pathlib import Path

from qbitel.cluster.ledger_file import LedgerFile, content, read_ledgers


def test_ledgers_of_several_senders_are_one_account(tmp_path: Path) -> None:
    """What any of them sent and had acknowledged is held against the journal."""
    for name in "ab":
        ledger = LedgerFile(tmp_path / name)
        ledger.send(f"{name}0", [b"one", b"two"], 1.0)
        ledger.send(f"{name}1", [b"three"], 2.0)
        ledger.acknowledge(f"{name}0", 3.0)
    journal = [("a0", b"one"), ("a0", b"two"), ("b0", b"two"), ("b0", b"two"), ("b1", b"three"), ("c0", b"one")]
    paths = [tmp_path / "a", tmp_path / "b", tmp_path / "never written"]
    verdict = read_ledgers(paths).judge((key, content(payload)) for key, payload in journal)
    assert (verdict.acknowledged, verdict.lost, verdict.doubled, verdict.foreign) == (4, 1, 1, 1)


def test_line_that_a_kill_cut_short_hides_no_other(tmp_path: Path) -> None:
    """The next process of the sender writes on, and only the cut line is not there."""
    path = tmp_path / "ledger"
    LedgerFile(path).send("k0", [b"one"], 1.0)
    with path.open("a") as file:
        file.write('\n{"sent": "k1", "conte')
    LedgerFile(path).acknowledge("k0", 2.0)
    assert [line.get("sent") or line["acknowledged"] for line in LedgerFile(path).lines()] == ["k0", "k0"]
