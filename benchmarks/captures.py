"""
Speed of reading captures: packets per second and peak memory, beside dpkt in the same run.

    python -m benchmarks.captures [--packets 1000000] [--repeats 5] [--dpkt-packets 100000]

The traffic is generated: half UDP to a few ports, half TCP in 2,000 connections of which 2 % of the segments arrive
late and 1 % twice; the mean frame has at most 200 bytes. Prints machine, versions, command, and the median with the
lowest and highest of the repeats. Seconds are of processor time (one thread), so that other work on the machine
disturbs them less. Reading ends with messages: datagrams, and streams cut by a length field. dpkt walks the file,
decodes Ethernet, IP, TCP and UDP, and joins each direction's segments by sequence number, in Python.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import dpkt
import numpy as np

from qbitel.discovery.captures import messages_of, read_capture
from qbitel.discovery.spec.framing import DatagramFraming, LengthFraming
from qbitel.train.evaluation.machine import PACKAGES, page_head

CONNECTIONS = 2000
FRAMING = LengthFraming(offset=0, width=2, endianness="big", bias=2)


def tcp_payloads(rng: np.random.Generator, count: int) -> list[bytes]:
    """Return segments, each a message with its length in front."""
    sizes = rng.integers(20, 240, count)
    noise = rng.bytes(1 << 16)
    starts = rng.integers(0, (1 << 16) - 256, count)
    return [
        int(size).to_bytes(2, "big") + noise[at : at + size]
        for size, at in zip(sizes.tolist(), starts.tolist(), strict=True)
    ]


def disturbed(rng: np.random.Generator, frames: list[bytes], tcp: list[int]) -> list[bytes]:
    """Delay 2 % of the TCP frames by up to 400 frames and repeat 1 % of them."""
    when = np.arange(len(frames), dtype=float)
    chosen = np.array(tcp)
    late = chosen[rng.random(len(chosen)) < 0.02]
    when[late] += rng.integers(1, 400, len(late))
    again = chosen[rng.random(len(chosen)) < 0.01]
    frames = frames + [frames[i] for i in again.tolist()]
    when = np.concatenate((when, again + rng.integers(1, 400, len(again))))
    return [frames[i] for i in np.argsort(when, kind="stable").tolist()]


def write_traffic(path: Path, packets: int, seed: int = 1) -> float:
    """Write a pcap and return the mean length of its frames."""
    rng = np.random.default_rng(seed)
    payloads = tcp_payloads(rng, packets)
    sequence = rng.integers(1, 1 << 32, (CONNECTIONS, 2)).tolist()
    which, sides = rng.integers(0, CONNECTIONS, packets).tolist(), rng.integers(0, 2, packets).tolist()
    frames, tcp = [], []
    for number in range(packets):
        payload, flow, side = payloads[number], which[number], sides[number]
        client, port = 20000 + flow, 502 if number & 1 else 20547 + flow % 3
        sport, dport = (port, client) if side else (client, port)
        if number & 1:
            tcp.append(number)
            seq = sequence[flow][side]
            sequence[flow][side] = (seq + len(payload)) & 0xFFFFFFFF
            ports = sport.to_bytes(2, "big") + dport.to_bytes(2, "big")
            header = ports + seq.to_bytes(4, "big") + b"\0\0\0\0\x50\x18\x20\0\0\0\0\0"
        else:
            size = (8 + len(payload)).to_bytes(2, "big")
            header = sport.to_bytes(2, "big") + dport.to_bytes(2, "big") + size + b"\0\0"
        total = (20 + len(header) + len(payload)).to_bytes(2, "big")
        ends = b"\x0a\0\0\x02\x0a\0\0\x01" if side else b"\x0a\0\0\x01\x0a\0\0\x02"
        ip = b"\x45\0" + total + b"\0\0\0\0\x40" + (b"\x06" if number & 1 else b"\x11") + b"\0\0" + ends
        frames.append(b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0" + ip + header + payload)
    frames = disturbed(rng, frames, tcp)
    with path.open("wb") as out:
        out.write(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
        for number, frame in enumerate(frames):
            size = len(frame).to_bytes(4, "little")
            ticks = (number // 100000).to_bytes(4, "little") + (number % 100000 * 10).to_bytes(4, "little")
            out.write(ticks + size + size + frame)
    return sum(map(len, frames)) / len(frames)


def read_with_qbitel(path: Path) -> tuple[int, int]:
    """Return packets and payload bytes of all messages."""
    capture = read_capture(path)
    size = 0
    for group in capture.groups:
        batch = messages_of(group, FRAMING if group.stream else DatagramFraming())
        size += int(batch.view().lengths.sum())
    return capture.counters.packets, size


def read_with_dpkt(path: Path) -> tuple[int, int]:
    """Return packets and payload bytes after joining each direction of TCP by sequence number."""
    packets = size = 0
    streams: dict[tuple[bytes, int, bytes, int], list[tuple[int, bytes]]] = defaultdict(list)
    with path.open("rb") as file:
        for _, frame in dpkt.pcap.Reader(file):
            packets += 1
            ip = dpkt.ethernet.Ethernet(frame).data
            layer = ip.data
            if isinstance(layer, dpkt.tcp.TCP):
                streams[ip.src, layer.sport, ip.dst, layer.dport].append((layer.seq, layer.data))
            else:
                size += len(layer.data)
    for segments in streams.values():
        first = segments[0][0]
        segments.sort(key=lambda segment: (segment[0] - first + 2**31) % 2**32)
        size += len(joined(segments))
    return packets, size


def joined(segments: list[tuple[int, bytes]]) -> bytes:
    """Return sorted segments end to end, what was sent twice once."""
    out, following = bytearray(), segments[0][0]
    for seq, data in segments:
        ahead = (seq - following + 2**31) % 2**32 - 2**31
        if ahead + len(data) > 0:
            out += data[max(-ahead, 0) :]
            following = (seq + len(data)) % 2**32
    return bytes(out)


def timed(read: Callable[[Path], tuple[int, int]], path: Path, repeats: int) -> tuple[list[float], tuple[int, int]]:
    """Return packets per second of processor time of each repeat, and what was read."""
    rates = []
    for _ in range(repeats):
        start = time.process_time()
        got = read(path)
        rates.append(got[0] / (time.process_time() - start))
    return rates, got


def measure_alone(path: Path, repeats: int) -> dict[str, object]:
    """Measure our reader in a process of its own, so that its peak memory is its own."""
    safe_path = ["-P"] if sys.flags.safe_path else []
    command = [sys.executable, *safe_path, __file__, "--child", str(path), "--repeats", str(repeats)]
    environment = {**os.environ, "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def child(path: Path, repeats: int) -> None:
    """Read once to compile, then measure; print JSON."""
    start = time.perf_counter()
    read_with_qbitel(path)
    first = time.perf_counter() - start
    rates, (packets, size) = timed(read_with_qbitel, path, repeats)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rates": rates, "packets": packets, "bytes": size, "first_s": first, "peak_mb": peak}))


def spread(rates: list[float]) -> str:
    """Return median, lowest and highest."""
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}, {len(rates)} runs)"


def main() -> None:
    """Make the traffic, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--dpkt-packets", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.repeats)
        return
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder, "large.pcap"), Path(folder, "small.pcap")
        mean = write_traffic(large, options.packets)
        write_traffic(small, options.dpkt_packets)
        ours, ours_small = measure_alone(large, options.repeats), measure_alone(small, options.repeats)
        dpkt_rates, (_, dpkt_bytes) = timed(read_with_dpkt, small, max(options.repeats // 2, 1))
    print(page_head("Captures", (*PACKAGES, "dpkt")))
    print(
        f"Packets of {mean:.0f} bytes in the mean, half of them TCP in {CONNECTIONS:,} connections that must be put in "
        "order; a processor second is one core's. The first run, which compiles or loads what was compiled, took "
        f"{ours['first_s']:.1f} s.\n"
    )
    print("| reader | packets | packets a processor second | peak MB | payload bytes |\n|---|--:|--:|--:|--:|")
    for found in (ours, ours_small):
        figures = f"{spread(found['rates'])} | {found['peak_mb']:,.0f} | {found['bytes']:,}"
        print(f"| qbitel | {found['packets']:,} | {figures} |")
    print(f"| dpkt and a dictionary | {ours_small['packets']:,} | {spread(dpkt_rates)} | – | {dpkt_bytes:,} |")


if __name__ == "__main__":
    main()
