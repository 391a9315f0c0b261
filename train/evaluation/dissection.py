"""Run an exported dissector in a real tshark and an exported module in a separate Python, and read back the leaves."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from ...discovery.batch import MessageBatch
from ...discovery.parser import Parser
from ...discovery.spec import ProtocolSpec

TSHARK = shutil.which("tshark")
LINKTYPE_USER0 = 147

Leaf = tuple[int, int]


def write_user0(path: Path, messages: Sequence[bytes]) -> None:
    """Write messages as frames of link type USER0."""
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, LINKTYPE_USER0))
        for number, message in enumerate(messages):
            out.write(struct.pack("<IIII", number, 0, len(message), len(message)) + message)


def tshark_leaves(dissector: str, messages: Sequence[bytes], folder: Path) -> list[list[Leaf]]:
    """Return for each message the (start, length) of the innermost fields that the dissector added."""
    assert TSHARK is not None
    script, capture = folder / "dissector.lua", folder / "messages.pcap"
    script.write_text(dissector, encoding="utf-8")
    write_user0(capture, messages)
    command = [TSHARK, "-n", "-r", str(capture), "-X", f"lua_script:{script}", "-T", "pdml"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    assert b"Lua" not in done.stderr or b"root" in done.stderr, done.stderr.decode()
    found: list[list[Leaf]] = []
    for packet in ElementTree.fromstring(done.stdout).iter("packet"):
        protos = [p for p in packet.iter("proto") if p.get("name") not in ("geninfo", "frame", "_ws.malformed")]
        leaves: list[Leaf] = []
        for proto in protos:
            _collect(proto, leaves)
        found.append(sorted(set(leaves)))
    return found


def _collect(node: ElementTree.Element, leaves: list[Leaf]) -> None:
    for field in node.findall("field"):
        name = field.get("name", "")
        if name.startswith("_ws.") or (name.endswith(".type") and field.get("size") == "0"):
            continue
        inner = [child for child in field.findall("field") if not child.get("name", "").startswith("_ws.")]
        # A region stands in the tree before its fields are read; where that fails at once it has none.
        if inner or name.endswith(".region"):
            _collect(field, leaves)
        elif int(field.get("size", "0")):
            leaves.append((int(field.get("pos", "0")), int(field.get("size", "0"))))


READ_LEAVES = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("exported", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
for line in sys.stdin:
    _, leaves, _ = module.parse(bytes.fromhex(line))
    print(json.dumps([[leaf.start, leaf.length] for leaf in leaves]))
"""


def python_leaves(source: str, messages: Sequence[bytes], folder: Path) -> list[list[Leaf]]:
    """Return for each message the (start, length) of the leaves that the exported module reads, in its own process."""
    module = folder / "exported.py"
    module.write_text(source, encoding="utf-8")
    lines = "\n".join(message.hex() for message in messages) + "\n"
    command = [sys.executable, "-I", "-c", READ_LEAVES, str(module)]
    done = subprocess.run(command, input=lines, capture_output=True, check=True, text=True, timeout=120)
    return [[(start, length) for start, length in json.loads(line)] for line in done.stdout.splitlines()]


def own_leaves(spec: ProtocolSpec, messages: Sequence[bytes]) -> list[list[Leaf]]:
    """Return for each message the (start, length) of the leaves that the engine's batch parser reads."""
    parsed = Parser(spec).parse_batch(MessageBatch.from_payloads(messages))
    found: list[list[Leaf]] = [[] for _ in messages]
    for row, start, length in zip(
        parsed.leaf_row.tolist(), parsed.leaf_start.tolist(), parsed.leaf_length.tolist(), strict=True
    ):
        if length:
            found[row].append((start, length))
    return found
