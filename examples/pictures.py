"""
Draw the pictures of the documentation: graphs by graphviz, and what was found in the example capture.

    python -m examples.pictures [--out docs/pictures]

Writes ``pipeline.svg``, ``shards.svg`` and ``falsify.svg`` from the ``.dot`` files there, ``message.svg`` (the bytes of
one message with the fields that were found) and ``columns.svg`` (how much each byte of a type varies, and where fields
begin). Needs graphviz's ``dot``.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from qbitel import MessageBatch, Parser, ProtocolSpec, discover, read_capture

ROOT = Path(__file__).parents[1]
PLANT = ROOT / "examples" / "captures" / "plant.pcapng"
CELL, LINE = 30, 16
FILLS = {
    "type": "#f3d9f0", "length": "#cfeaf0", "count": "#cfeaf0", "checksum": "#f6d3d0", "counter": "#fbeec2",
    "timestamp": "#fbeec2", "constant": "#d6e0f5", "magic": "#d6e0f5", "enum": "#f3d9f0", "identifier": "#d8efd6",
    "text": "#d8efd6", "float": "#dff3ee", "integer": "#dff3ee", "payload": "#eeeeee", "unknown": "#eeeeee",
}  # fmt: skip


def main() -> int:
    """Draw all pictures; exit code 7 where graphviz is missing."""
    options = argparse.ArgumentParser(description="Draw the pictures of the documentation.")
    options.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    out = options.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    batch = read_capture(PLANT).groups[0].batch
    spec = discover(batch, protocol="udp_20547")
    (out / "message.svg").write_text(message_picture(spec, batch), encoding="utf-8")
    (out / "columns.svg").write_text(columns_picture(spec, batch), encoding="utf-8")
    if shutil.which("dot") is None:
        print("graphviz is missing: apt-get install graphviz", file=sys.stderr)
        return 7
    for source in sorted((ROOT / "docs" / "pictures").glob("*.dot")):
        target = out / source.with_suffix(".svg").name
        subprocess.run(["dot", "-Tsvg", "-o", str(target), str(source)], check=True)
    for path in sorted(out.glob("*.svg")):
        print(path)
    return 0


def text(x: float, y: float, content: str, *, size: int = 11, anchor: str = "start", family: str = "sans-serif") -> str:
    """Return a piece of text."""
    style = f'font-family="{family}" font-size="{size}" text-anchor="{anchor}"'
    halo = 'stroke="white" stroke-width="3" paint-order="stroke"'
    return f'<text x="{x:g}" y="{y:g}" {style} fill="#222222" {halo}>{escape(content)}</text>'


def box(x: float, y: float, width: float, height: float, fill: str, stroke: str = "#8a97a8") -> str:
    """Return a rectangle."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}" stroke="{stroke}"/>'


def callouts(places: Sequence[tuple[float, float, str]]) -> list[str]:
    """Return labels below places (x, y), from left to right, each with a line to it; the texts lie over the lines."""
    lines, labels = [], []
    for number, (x, y, content) in enumerate(places):
        # The leftmost lies lowest, so that no line runs through the text of its left neighbour.
        level = y + 56 - 14 * (number % 4)
        lines.append(f'<path d="M{x + 5:g} {y:g} V{level - 9:g}" stroke="#8a97a8" fill="none"/>')
        labels.append(text(x + 2, level, content, size=10))
    return [*lines, *labels]


def svg(width: float, height: float, parts: Sequence[str], title: str) -> str:
    """Return a picture on white, with a title for who cannot see it."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" role="img">'
    body = "\n".join([f"<title>{escape(title)}</title>", f'<rect width="{width:g}" height="{height:g}" fill="white"/>'])
    return "\n".join([head, body, *parts, "</svg>"]) + "\n"


def rows_of(spec: ProtocolSpec, batch: MessageBatch, wanted: str) -> np.ndarray:
    """Return the rows of the type whose label ends so."""
    index = next(i for i, t in enumerate(spec.types) if t.label.endswith(wanted))
    return np.flatnonzero(Parser(spec).parse_batch(batch).type_index == index)


def message_picture(spec: ProtocolSpec, batch: MessageBatch) -> str:
    """Draw a message with few records: its bytes, its fields, and what each means."""
    rows = rows_of(spec, batch, "0x02")
    sizes = batch.view().lengths[rows]
    message = batch.view().payload(int(rows[np.argsort(sizes, kind="stable")[len(sizes) // 3]]))
    tree = Parser(spec).parse(message)
    left, top = 14.0, 40.0
    parts = [
        text(left, 22, f"a message of type {tree.type_name}: its fields, and what each was found to mean", size=13)
    ]
    places: dict[int, list[tuple[float, float, str]]] = {}
    for leaf in tree.leaves():
        fill = FILLS.get(leaf.semantic, "#ffffff")
        for offset in range(leaf.start, leaf.start + leaf.length):
            x, y = left + CELL * (offset % LINE), top + 96 * (offset // LINE)
            parts.append(box(x, y, CELL, 24, fill))
            parts.append(text(x + CELL / 2, y + 16, f"{message[offset]:02x}", anchor="middle", family="monospace"))
        line = leaf.start // LINE
        named = leaf.semantic if leaf.name.startswith(leaf.semantic) else f"{leaf.name}: {leaf.semantic}"
        places.setdefault(line, []).append((left + CELL * (leaf.start % LINE), top + 96 * line + 24, named))
    parts += [part for line in places.values() for part in callouts(line)]
    height = top + 96 * (-(-len(message) // LINE)) + 8
    return svg(2 * left + CELL * LINE + 60, height, parts, "the fields of one message")


def columns_picture(spec: ProtocolSpec, batch: MessageBatch) -> str:
    """Draw the entropy of each byte column of a type as bars, and the fields that were found below."""
    rows = rows_of(spec, batch, "0x04")
    view = batch.view().take(rows)
    width = int(view.lengths.min())
    front, _ = view.front(width)
    bits = [entropy(front[:, offset]) for offset in range(width)]
    left, top, high = 50.0, 40.0, 120.0
    title = f"bits of entropy in each byte of {len(rows)} messages of one type, and the fields that were found"
    parts = [text(14, 22, title, size=13)]
    for level in (0, 2, 4, 6, 8):
        y = top + high - high * level / 8
        parts.append(f'<path d="M{left:g} {y:g} H{left + CELL * width:g}" stroke="#dde3ea"/>')
        parts.append(text(left - 8, y + 4, str(level), anchor="end", size=10))
    for offset, value in enumerate(bits):
        tall = high * value / 8
        parts.append(box(left + CELL * offset + 4, top + high - tall, CELL - 8, tall, "#9db8d9", "none"))
    tree = Parser(spec).parse(view.payload(0))
    places = []
    for leaf in tree.leaves():
        if leaf.start + leaf.length <= width:
            x, y = left + CELL * leaf.start, top + high + 8
            parts.append(box(x, y, CELL * leaf.length, 20, FILLS.get(leaf.semantic, "#ffffff")))
            places.append((x, y + 20, leaf.semantic))
    parts += callouts(places)
    return svg(left + CELL * width + 60, top + high + 100, parts, title)


def entropy(column: np.ndarray) -> float:
    """Return the entropy of a column of bytes in bits."""
    counts = np.unique(column, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


if __name__ == "__main__":
    sys.exit(main())
