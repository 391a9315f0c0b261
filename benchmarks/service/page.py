"""The page of figures."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .__main__ import Figures

WANTED = 1000
"""Fresh discoveries a second, of which the machines they take are told."""


def markdown(figures: Figures) -> str:
    """Return the tables."""
    lines = [
        f"Transport: {figures.transport}. Load average of the machine when it began: {figures.busy:.1f}.",
        "One gateway and one worker; the client runs on the same cores.", "",
        "## Beside a deployment that does nothing", "",
        "Same bodies, in turn, 16 connections; medians of the pairs, and their range.", "",
        "| request | messages | requests/s | nothing | ratio | errors | p99 at half of that load, ms | p50 |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    for row in figures.compared:
        spread = f"{row.rate:,.0f} ({min(row.ours):,.0f} to {max(row.ours):,.0f})"
        half = f"{row.half.p99_ms:.1f} | {row.half.p50_ms:.1f}" if row.half else " | "
        lines.append(
            f"| {row.name} | {row.messages} | {spread} | {statistics.median(row.nothing):,.0f} | {row.ratio:.2f} "
            f"| {row.errors} | {half} |"
        )
    lines += [
        "", "## Alone", "",
        "| request | messages | connections | requests/s | messages/s | p50 ms | p99 ms | requests | errors |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    for load, connections, found in figures.alone:
        rates = f"{found.requests_per_s:,.1f} | {found.requests_per_s * load.messages:,.0f}"
        lines.append(
            f"| {load.name} | {load.messages} | {connections} | {rates} | {found.p50_ms:.1f} | {found.p99_ms:.1f} "
            f"| {found.requests} | {found.errors} |"
        )
    rate = max(found.requests_per_s for load, _, found in figures.alone if load.name == "discovery, fresh")
    lines += [
        "", f"{rate:.1f} fresh discoveries a second on this machine: {WANTED:,} a second take "
        f"{WANTED / rate:,.0f} machines like it.", "", "## Hits of the cache", "",
        "200,000 requests drawn from 10,000 by Zipf's law (s = 1), from an empty cache on.", "",
        "| room, answers | share of hits |", "|--:|--:|",
        *(f"| {room:,} | {share:.3f} |" for room, share in figures.zipf.items()),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
