"""``qbitel classify``: which known protocols are in a capture, and what is unknown."""

from __future__ import annotations

from pathlib import Path

import click

from ..discovery.captured import protocols_in
from ..discovery.captures import FORMATS, read_capture
from ..discovery.classifier import Classification, ProtocolClassifier, UnknownClusters
from .console import InputFile, out, print_json, tracked


@click.command("classify")
@click.argument("captures", nargs=-1, required=True, type=InputFile())
@click.option("--top", type=click.IntRange(1, 20), default=3, show_default=True, help="Candidates to name.")
@click.option("--reasons", type=click.IntRange(0, 20), default=3, show_default=True, help="Facts to name for each.")
@click.option("--protocol", help="Classify only the protocol group of this name, for instance udp_20547.")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), help="Format of the input; found out if not given.")
@click.option("--unknowns", type=click.Path(path_type=Path), help="File that keeps the names of unknown protocols.")
@click.option("--weights", type=click.Path(path_type=Path), help="Weights other than those that the package ships.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, one line a protocol group.")
def classify_command(
    captures: tuple[Path, ...], top: int, reasons: int, protocol: str | None, form: str | None, unknowns: Path | None,
    weights: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Say which known protocol each protocol group of CAPTURES is of; ports and addresses are not looked at."""
    classifier = ProtocolClassifier.load(weights)
    clusters = UnknownClusters.read(unknowns) if unknowns and unknowns.exists() else UnknownClusters()
    groups = protocols_in([read_capture(path, format=form) for path in captures], protocol)
    for group in tracked(groups, "classifying"):
        found = classifier.classify(group.messages, top=top, reasons=reasons, clusters=clusters)
        if as_json:
            print_json({"group": group.known.protocol, **found.model_dump(mode="json")})
        else:
            _print(group.known.protocol, found)
    if unknowns is not None:
        clusters.write(unknowns)


def _print(group: str, found: Classification) -> None:
    named = found.protocol or found.cluster
    out.print(f"{group}: {named} ({found.probability:.2f}), {found.messages} messages")
    for candidate in found.candidates:
        out.print(f"  {candidate.probability:.2f} {candidate.protocol}")
        for reason in candidate.reasons:
            out.print(f"       {reason.weight:+.2f} {reason.text}")
