"""A capture set read with Ray Data gives the messages, under the same blocks, that one process reads."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import pytest

pytest.importorskip("ray")

from qbitel.actors.reading import LocalReading, Report
from qbitel.cluster.inputs import list_inputs
from qbitel.discovery.capture_set import Asked
from qbitel.discovery.orchestrator import ProtocolDiscoveryOrchestrator


@pytest.mark.cluster
def test_ray_data_reads_what_one_process_reads(ray_here: None, example_captures: Path, tmp_path: Path) -> None:
    """Rotated files, divided into parts by hosts, come out block by block as in one process; a bad file is told."""
    from qbitel.actors.ray_reading import RayReading

    data = (example_captures / "modbus.pcap").read_bytes()
    ends, at = [24], 24
    while at < len(data):
        at += 16 + int.from_bytes(data[at + 8 : at + 12], "little")
        ends.append(at)
    for number in range(4):
        begin, end = ends[len(ends) * number // 4], ends[min(len(ends) * (number + 1) // 4, len(ends) - 1)]
        (tmp_path / f"cap{number}.pcap").write_bytes(data[:24] + data[begin:end])
    (tmp_path / "bad.pcap").write_bytes(bytes(40))
    files = list_inputs(str(tmp_path))
    here, there = Report(), Report()
    one = LocalReading(files, Asked(), here)
    other = RayReading(files, Asked(), there, part_bytes=1 << 15)
    assert (there, other.known) == (here, one.known)
    assert [letter.uri.rsplit("/", 1)[-1] for letter in there.dead] == ["bad.pcap"]
    (protocol,) = one.known
    found = [sorted(each.blocks(protocol), key=lambda block: (block.file, block.number)) for each in (one, other)]
    assert sum(len(block.batch) for block in found[0]) == 960
    assert found[0] == found[1]
    orchestrator = ProtocolDiscoveryOrchestrator()
    specs = [
        each.discover(protocol, orchestrator, lambda stage, done: None, perf_counter).result.spec.to_bytes()
        for each in (one, other)
    ]
    assert specs[0] == specs[1]
