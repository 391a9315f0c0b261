"""A picture of what stands at each offset of messages, as SVG: entropy above, byte values below."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

LEFT, TOP, PANEL, GAP, RIGHT, BOTTOM = 56, 40, 120, 30, 16, 44
MOST = 128  # offsets from the front that are drawn
CELLS = 32  # rows of the lower panel: eight byte values each
_WIDTH = 900


def entropy_plot(table: pa.Table, title: str) -> str:
    """
    Return an SVG of the first 128 offsets from the front.

    Args:
        table: that of ``StatisticsSummary.to_arrow``.
    """
    offsets = table.column("offset").to_numpy()
    rows = np.flatnonzero((offsets >= 0) & (offsets < MOST))
    entropy = table.column("entropy").to_numpy()[rows]
    counts = table.column("histogram").combine_chunks().flatten().to_numpy().reshape(-1, 256)[rows]
    reached = table.column("reached").to_numpy()[rows]
    total = int(table.schema.metadata[b"messages"])
    step = (_WIDTH - LEFT - RIGHT) / max(len(rows), 1)
    height = TOP + 2 * PANEL + GAP + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif" '
        'font-size="11">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-weight="bold">{escape(title)}: {total} messages</text>',
        f'<text x="{LEFT}" y="{TOP - 6}" fill="#555">entropy of the byte at each offset, bits; paler where fewer '
        "messages reach it</text>",
        *_bars(entropy, reached / max(total, 1), step),
        f'<text x="{LEFT}" y="{TOP + PANEL + GAP - 8}" fill="#555">byte values, eight a row; darker where more of the '
        "messages that reach it have them</text>",
        *_cells(counts, step),
        *_axes(len(rows), step),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _bars(entropy: NDArray[np.float64], share: NDArray[np.float64], step: float) -> Iterator[str]:
    for at, (bits, reach) in enumerate(zip(entropy.tolist(), share.tolist(), strict=True)):
        tall = PANEL * bits / 8
        yield (
            f'<rect x="{LEFT + at * step:.2f}" y="{TOP + PANEL - tall:.2f}" width="{max(step - 0.6, 0.4):.2f}" '
            f'height="{tall:.2f}" fill="#1f5fa8" fill-opacity="{0.25 + 0.75 * reach:.2f}"/>'
        )


def _cells(counts: NDArray[np.int64], step: float) -> Iterator[str]:
    top, tall = TOP + PANEL + GAP, PANEL / CELLS
    grouped = counts.reshape(len(counts), CELLS, -1).sum(axis=2)
    shares = grouped / np.maximum(grouped.sum(axis=1, keepdims=True), 1)
    for at, row in zip(*(each.tolist() for each in np.nonzero(grouped)), strict=True):
        dark = math.sqrt(float(shares[at, row]))
        yield (
            f'<rect x="{LEFT + at * step:.2f}" y="{top + PANEL - (row + 1) * tall:.2f}" width="{step:.2f}" '
            f'height="{tall:.2f}" fill="#7a2b1d" fill-opacity="{max(dark, 0.06):.2f}"/>'
        )


def _axes(count: int, step: float) -> Iterator[str]:
    for top, labels in ((TOP, ("0", "4", "8")), (TOP + PANEL + GAP, ("0x00", "0x80", "0xff"))):
        low = top + PANEL
        yield f'<path d="M{LEFT} {top}V{low}H{_WIDTH - RIGHT}" fill="none" stroke="#777"/>'
        for place, label in enumerate(labels):
            yield f'<text x="{LEFT - 6}" y="{low - place * PANEL / 2 + 4:.1f}" text-anchor="end">{label}</text>'
    every = next(each for each in (1, 2, 4, 8, 16) if count / each <= 16)
    foot = TOP + 2 * PANEL + GAP
    for at in range(0, count, every):
        yield f'<text x="{LEFT + (at + 0.5) * step:.1f}" y="{foot + 15}" text-anchor="middle">{at}</text>'
    yield f'<text x="{(LEFT + _WIDTH) / 2}" y="{foot + 34}" text-anchor="middle">offset from the front, bytes</text>'
