"""A reliability diagram (DeGroot & Fienberg 1983) as SVG: how often is right what is said with some probability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

SIDE, LEFT, TOP, BOTTOM, LEGEND = 360, 60, 20, 50, 330
COLOURS = ("#1f5fa8", "#c4561a", "#3a7d44", "#7a4b9d")
LARGEST = 14  # radius of a point that stands for everything

Curve = Sequence[tuple[float, float, float]]
"""(mean probability, share that is right, share of all) of each part."""


def reliability_plot(curves: Mapping[str, Curve]) -> str:
    """Return a picture of up to four curves; the area of a point is its share, and what lies on the diagonal holds."""
    size = f'width="{LEFT + SIDE + LEGEND}" height="{TOP + SIDE + BOTTOM}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">']
    parts += [f'<rect {size} fill="white"/>', *_grid()]
    for index, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[index]
        path = " ".join("{:.1f},{:.1f}".format(*_place(said, right)) for said, right, _ in curve)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for said, right, share in curve:
            x, y = _place(said, right)
            radius = max(1.5, LARGEST * math.sqrt(share))
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{colour}" fill-opacity="0.5"/>')
        parts.append(f'<text x="{LEFT + SIDE + 20}" y="{TOP + 14 + 18 * index}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _place(said: float, right: float) -> tuple[float, float]:
    return LEFT + said * SIDE, TOP + (1 - right) * SIDE


def _grid() -> list[str]:
    made = []
    for tenth in range(0, 11, 2):
        x, y = _place(tenth / 10, tenth / 10)
        made.append(f'<line x1="{x:.0f}" y1="{TOP}" x2="{x:.0f}" y2="{TOP + SIDE}" stroke="#ddd"/>')
        made.append(f'<line x1="{LEFT}" y1="{y:.0f}" x2="{LEFT + SIDE}" y2="{y:.0f}" stroke="#ddd"/>')
        made.append(f'<text x="{x:.0f}" y="{TOP + SIDE + 16}" text-anchor="middle">{tenth / 10:g}</text>')
        made.append(f'<text x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{tenth / 10:g}</text>')
    diagonal = f'x1="{LEFT}" y1="{TOP + SIDE}" x2="{LEFT + SIDE}" y2="{TOP}"'
    made.append(f'<line {diagonal} stroke="#999" stroke-dasharray="6 4"/>')
    middle = TOP + SIDE / 2
    made.append(f'<text x="{LEFT + SIDE / 2}" y="{TOP + SIDE + 36}" text-anchor="middle">probability</text>')
    made.append(f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">right</text>')
    return made
