"""A plot of seconds over messages with both axes logarithmic, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 420, 70, 50, 30

Point = tuple[int, float]


def growth_plot(points: Sequence[Point], *, linear: bool = False) -> str:
    """
    Return an SVG of the measured points and of c n log2(n), or c n, through the first of them.

    Args:
        points: (messages, seconds), messages ascending and above 1.
    """
    first, seconds = points[0]
    bound = [(n, seconds * n / first * (1.0 if linear else math.log2(n) / math.log2(first))) for n, _ in points]
    grows = "c n" if linear else "c n log n"
    low_y, high_y = (f(s for _, s in [*points, *bound]) for f in (min, max))
    axes = _Axes(
        math.log10(points[0][0]),
        math.log10(points[-1][0]),
        math.floor(math.log10(low_y)),
        math.ceil(math.log10(high_y)),
    )
    size = f'width="{WIDTH}" height="{HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *axes.lines(),
        f'<polyline points="{axes.path(bound)}" fill="none" stroke="#999" stroke-dasharray="6 4"/>',
        f'<polyline points="{axes.path(points)}" fill="none" stroke="#1f5fa8" stroke-width="2"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="#1f5fa8"/>' for x, y in map(axes.place, points)),
        f'<text x="{LEFT + 12}" y="{TOP + 16}" fill="#1f5fa8">measured</text>',
        f'<text x="{LEFT + 12}" y="{TOP + 34}" fill="#777">{grows} through the first point</text>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">messages</text>',
        f'<text x="16" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 16 {HEIGHT / 2})">seconds</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Axes:
    """Places on the picture of points on logarithmic axes; bounds are powers of ten."""

    def __init__(self, low_x: float, high_x: float, low_y: int, high_y: int) -> None:
        self.low_x, self.high_x, self.low_y, self.high_y = low_x, high_x, low_y, high_y

    def place(self, point: Point) -> tuple[float, float]:
        across = (math.log10(point[0]) - self.low_x) / max(self.high_x - self.low_x, 1e-9)
        up = (math.log10(point[1]) - self.low_y) / max(self.high_y - self.low_y, 1)
        return LEFT + across * (WIDTH - LEFT - 30), HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP)

    def path(self, points: Sequence[Point]) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.place, points))

    def lines(self) -> list[str]:
        made = []
        for power in range(self.low_y, self.high_y + 1):
            _, y = self.place((10, 10.0**power))
            made.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - 30}" y2="{y:.1f}" stroke="#ddd"/>')
            made.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
        for power in range(math.ceil(self.low_x), math.floor(self.high_x) + 1):
            x, _ = self.place((10**power, 10.0**self.low_y))
            made.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#ddd"/>')
            made.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{10**power:,}</text>')
        return made
