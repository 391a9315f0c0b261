"""The learning curve of a run as SVG: losses above, the other held-out figures below, over the epochs."""

from __future__ import annotations

from collections.abc import Sequence

from .record import RunRecord

WIDTH, LEFT, RIGHT, PANEL, GAP, TOP = 640, 64, 150, 190, 46, 34
COLOURS = ("#1f5fa8", "#c4561a", "#3a7d44", "#7a4b9d", "#8a6d1d")

Line = tuple[str, list[float]]


def learning_curve(record: RunRecord) -> str:
    """Return the picture; the epoch whose parameters were kept is marked."""
    epochs = [epoch.number for epoch in record.epochs]
    losses = [("training", [e.loss for e in record.epochs]), ("held out", [e.figures["loss"] for e in record.epochs])]
    names = [name for name in record.epochs[0].figures if name != "loss"]
    others = [(name.replace("_", " "), [e.figures[name] for e in record.epochs]) for name in names]
    height = TOP + PANEL + (GAP + PANEL if others else 0) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-weight="bold">{record.id}</text>',
        *_panel("loss", epochs, losses, TOP, record.best),
    ]
    if others:
        parts += _panel("held out", epochs, others, TOP + PANEL + GAP, record.best)
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{height - 8}" text-anchor="middle">epoch</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(title: str, epochs: Sequence[int], lines: Sequence[Line], top: float, best: int | None) -> list[str]:
    low, high, step = _ticks(min(min(v) for _, v in lines), max(max(v) for _, v in lines))
    last, bottom = max(2, epochs[-1]), top + PANEL

    def across(epoch: float) -> float:
        return LEFT + (epoch - 1) / (last - 1) * (WIDTH - LEFT - RIGHT)

    def up(value: float) -> float:
        return bottom - (value - low) / (high - low) * PANEL

    made = []
    for tick in range(round((high - low) / step) + 1):
        value = low + tick * step
        made.append(f'<line x1="{LEFT}" y1="{up(value):.1f}" x2="{WIDTH - RIGHT}" y2="{up(value):.1f}" stroke="#ddd"/>')
        made.append(f'<text x="{LEFT - 6}" y="{up(value) + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for epoch in range(1, last + 1, max(1, -(-last // 10))):
        made.append(f'<text x="{across(epoch):.1f}" y="{bottom + 16}" text-anchor="middle">{epoch}</text>')
    if best is not None:
        made.append(
            f'<line x1="{across(best):.1f}" y1="{top}" x2="{across(best):.1f}" y2="{bottom}" stroke="#999" '
            'stroke-dasharray="4 4"/>'
        )
    middle = top + PANEL / 2
    made.append(f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">{title}</text>')
    for index, (name, values) in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        points = [(across(epoch), up(value)) for epoch, value in zip(epochs, values, strict=True)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        made.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        made += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points]
        made.append(f'<text x="{WIDTH - RIGHT + 12}" y="{top + 14 + 18 * index}" fill="{colour}">{name}</text>')
    return made


def _ticks(low: float, high: float) -> tuple[float, float, float]:
    """Return bounds around the values and a step of 1, 2 or 5 times a power of ten, in at most six steps."""
    span = max(high - low, abs(high) * 1e-3, 1e-6)
    power = 10.0
    while power > span:
        power /= 10
    step = next(power * by for by in (0.2, 0.5, 1, 2, 5, 10, 20, 50) if span <= 5 * power * by) if span < 1e3 else span
    first = int(low / step) - (1 if low < 0 else 0)
    final = -int(-high // step)
    return first * step, max(final, first + 1) * step, step
