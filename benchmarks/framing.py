"""
Framing: how many borders of messages are found in streams put together from labelled messages.

    python -m benchmarks.framing --corpus DIR [--protocols a,b] [--messages 10]

Each capture of a protocol is judged on its own, as a user has one: messages of one sender and stream are joined in the
order of their times, those of one time share a segment, and segments have at most 1448 bytes. Messages that the corpus
lacks are missing from the streams, so that some streams are broken where no loss is marked. Prints precision, recall
and F1 of the borders (macro over captures), and beside them the F1 of one message a segment.
"""

from __future__ import annotations

import argparse
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from qbitel.discovery.batch import CLIENT_TO_SERVER, SERVER_TO_CLIENT
from qbitel.discovery.framing import cut_streams, infer_framing
from qbitel.discovery.spec.framing import DirectedFraming, Framing, SegmentFraming
from qbitel.discovery.streams import StreamSet
from qbitel.train.evaluation.machine import page_head

SEGMENT = 1448
COLUMNS = ["source_pcap", "ts", "stream", "src", "sport", "direction", "transport", "payload"]
Rows = list[dict[str, Any]]


def captures(path: Path, least: int) -> list[Rows]:
    """Return the TCP messages of each capture that has enough."""
    rows = [row for row in pq.read_table(path, columns=COLUMNS).to_pylist() if row["transport"] == "tcp"]
    by_capture: dict[str, Rows] = {}
    for row in rows:
        by_capture.setdefault(str(row["source_pcap"]), []).append(row)
    return [by_capture[name] for name in sorted(by_capture) if len(by_capture[name]) >= least]


def streams_of(rows: Rows) -> tuple[StreamSet, set[int]]:
    """Return the streams of a capture, and where their messages end."""
    senders: dict[tuple[Any, ...], Rows] = {}
    for row in rows:
        senders.setdefault((row["stream"], row["src"], row["sport"]), []).append(row)
    segments, directions, ends, at = [], [], set(), 0
    for sent in senders.values():
        segments.append([])
        directions.append(CLIENT_TO_SERVER if sent[0]["direction"] == "c2s" else SERVER_TO_CLIENT)
        for _, together in groupby(sorted(sent, key=lambda row: row["ts"] or 0.0), key=lambda row: row["ts"]):
            data = b""
            for row in together:
                data += row["payload"]
                at += len(row["payload"])
                ends.add(at)
            segments[-1] += [data[i : i + SEGMENT] for i in range(0, len(data), SEGMENT)]
    return StreamSet.from_segments(segments, direction=directions), ends


def f1(found: set[int], truth: set[int]) -> tuple[float, float, float]:
    """Return precision, recall and F1."""
    right = len(found & truth)
    precision, recall = right / max(len(found), 1), right / max(len(truth), 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def borders(streams: StreamSet, framing: Framing) -> set[int]:
    """Return where the messages end that a framing makes."""
    cuts = cut_streams(streams, framing)
    return set((cuts.start + cuts.length).tolist())


def kinds(framing: Framing) -> str:
    """Return the kind of a framing in a word."""
    if isinstance(framing, DirectedFraming):
        return f"{framing.client_to_server.kind}/{framing.server_to_client.kind}"
    return framing.kind


def judge(path: Path, least: int) -> tuple[str, list[float]] | None:
    """Return a line of the table, and its figures."""
    scores, names = [], Counter[str]()
    for rows in captures(path, least):
        streams, truth = streams_of(rows)
        framing, _ = infer_framing(streams)
        names[kinds(framing)] += 1
        scores.append([*f1(borders(streams, framing), truth), f1(borders(streams, SegmentFraming()), truth)[2]])
    if not scores:
        return None
    mean = [sum(column) / len(scores) for column in zip(*scores, strict=True)]
    told = ", ".join(f"{name} {count}" for name, count in names.most_common(4))
    return f"| {path.stem} | {len(scores)} | " + " | ".join(f"{v:.3f}" for v in mean) + f" | {told} |", mean


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Borders of messages found in streams.")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--protocols", default="")
    parser.add_argument("--messages", type=int, default=10)
    arguments = parser.parse_args()
    wanted = set(filter(None, arguments.protocols.split(",")))
    print(page_head("Framing"))
    print("| protocol | captures | precision | recall | F1 | F1, a segment each | framing found |")
    print("|---|--:|--:|--:|--:|--:|---|")
    means = []
    for path in sorted(arguments.corpus.glob("*.parquet")):
        judged = judge(path, arguments.messages) if not wanted or path.stem in wanted else None
        if judged:
            print(judged[0], flush=True)
            means.append(judged[1])
    total = [sum(column) / len(means) for column in zip(*means, strict=True)]
    print(f"| macro over {len(means)} | | " + " | ".join(f"{v:.3f}" for v in total) + " | |")


if __name__ == "__main__":
    main()
