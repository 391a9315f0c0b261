"""What is found in captures is exported so that tshark and the Python module read the same fields as the engine."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.captured import protocols_in
from qbitel.discovery.captures import read_capture
from qbitel.discovery.exports import export
from qbitel.discovery.orchestrator import ProtocolDiscoveryOrchestrator
from qbitel.discovery.parser import Parser
from qbitel.discovery.spec import ProtocolSpec
from qbitel.train.evaluation.dissection import TSHARK, Leaf, own_leaves
from qbitel.train.simulator import simulate

Reader = Callable[[str, Sequence[bytes]], list[list[Leaf]]]
CAPTURES = ("dns.pcap", "modbus.pcap", "plant.pcapng", "plant_tcp.pcapng")
READ = 120


def found_in(capture: Path) -> tuple[ProtocolSpec, MessageBatch]:
    """The specification of the one protocol of a capture, and its messages."""
    (protocol,) = protocols_in([read_capture(capture)])
    return ProtocolDiscoveryOrchestrator().discover(protocol.batches, known=protocol.known).spec, protocol.messages


def compare(spec: ProtocolSpec, messages: list[bytes], in_tshark: Reader, in_python: Reader) -> None:
    """Both exports read the leaves that the parser reads; the dissector is given bare messages."""
    bare = spec.model_copy(update={"carrier": None})
    expected = [sorted(leaves) for leaves in own_leaves(spec, messages)]
    assert in_tshark(export(bare, "wireshark"), messages) == expected
    assert [sorted(leaves) for leaves in in_python(export(spec, "python"), messages)] == expected


@pytest.mark.parametrize("name", CAPTURES)
def test_exports_read_example_captures_as_the_parser_does(
    name: str, example_captures: Path, in_tshark: Reader, in_python: Reader
) -> None:
    """Every field of the first messages of each example capture has the same bytes in all three readers."""
    spec, messages = found_in(example_captures / name)
    compare(spec, messages.payloads()[:READ], in_tshark, in_python)


@pytest.mark.parametrize("first", range(0, 24, 6))
def test_exports_read_simulated_protocols_as_the_parser_does(first: int, in_tshark: Reader, in_python: Reader) -> None:
    """Twenty-four simulated protocols of all families, each with the specification that is found of it."""
    for seed in range(first, first + 6):
        batch = simulate(seed, messages=60).batch()
        spec = ProtocolDiscoveryOrchestrator().discover(batch).spec
        compare(spec, [message for message in batch.payloads() if message], in_tshark, in_python)


@pytest.mark.parametrize("name", CAPTURES)
def test_dissector_finds_the_messages_of_a_capture_by_port(name: str, example_captures: Path, tmp_path: Path) -> None:
    """On the capture itself, reassembly and framing by tshark, the dissector sees as many messages of each type."""
    if TSHARK is None:
        pytest.skip("tshark is not installed (Debian package tshark; CI installs it)")
    spec, messages = found_in(example_captures / name)
    script = tmp_path / "dissector.lua"
    script.write_text(export(spec, "wireshark"), encoding="utf-8")
    command = [
        TSHARK, "-n", "-o", "tcp.reassemble_out_of_order:TRUE", "-X", f"lua_script:{script}",
        "-r", str(example_captures / name),
        "-T", "fields", "-e", f"{spec.protocol}.type", "-E", "aggregator=,",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    seen = Counter(kind for line in done.stdout.split() for kind in line.split(","))
    parsed = Parser(spec).parse_batch(messages)
    assert seen == Counter(parsed.type_name(row) for row in range(len(messages)))


def test_exported_module_runs_on_its_own(example_captures: Path, tmp_path: Path) -> None:
    """The module reads hexadecimal lines when it is run, with nothing of the engine installed."""
    python = shutil.which("python3")
    if python is None:
        pytest.skip("there is no python3 on the path")
    spec, messages = found_in(example_captures / "plant.pcapng")
    module = tmp_path / "plant.py"
    module.write_text(export(spec, "python"), encoding="utf-8")
    payload = messages.payloads()[0]
    done = subprocess.run(
        [python, "-I", "-S", str(module)], input=payload.hex(), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith(Parser(spec).parse(payload).type_name)
