"""``qbitel discover``: captures in, a result folder out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import click

from ..api import discover_all
from ..discovery.captures import FORMATS
from ..discovery.orchestrator import DiscoveryResult
from ..discovery.settings import DiscoverySettings
from ..results import write_results
from . import EXIT_PARTIAL
from .console import err, out, print_json, stage_progress
from .listing import summary_line, summary_table


@click.command("discover")
@click.argument("captures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", "folder", required=True, type=click.Path(path_type=Path), help="Result folder to write.")
@click.option("--port", type=click.IntRange(0, 65535), help="Read only flows with this UDP or TCP port.")
@click.option("--protocol", help="Read only the protocol group of this name, for instance udp_20547.")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), help="Format of the input; found out if not given.")
@click.option(
    "--group", type=click.Choice(["port", "transport"]), help="How to group; tables are regrouped only with it."
)
@click.option("--extend", is_flag=True, help="Learn on: add these captures to what the folder already holds.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of samples and splits.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def discover_command(
    captures: tuple[Path, ...], folder: Path, port: int | None, protocol: str | None, form: str | None,
    group: Literal["port", "transport"] | None, extend: bool, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Find the specification of every protocol in CAPTURES and write it to a folder."""
    settings = DiscoverySettings(seed=seed)
    with stage_progress("discovering") as progress:
        found = discover_all(
            list(captures), only=protocol, port=port, form=form, group=group, settings=settings, progress=progress,
            extend=folder if extend else None,
        )  # fmt: skip
    folders = write_results(folder, [(f.result, f.messages) for f in found.protocols], found.warnings)
    for warning in found.warnings:
        err.print(f"[yellow]warning[/]: {warning}", soft_wrap=True)
    if as_json:
        print_json({"protocols": [_document(f.result) for f in found.protocols], "warnings": list(found.warnings)})
    else:
        _print([f.result for f in found.protocols], folders)
    if any(f.result.spec.partial for f in found.protocols):
        sys.exit(EXIT_PARTIAL)


def _print(results: list[DiscoveryResult], folders: list[Path]) -> None:
    for result, folder in zip(results, folders, strict=True):
        out.print(summary_line(result.spec), soft_wrap=True)
        out.print(summary_table(result.spec))
        for note in result.notes:
            out.print(f"[yellow]note[/]: {note}", soft_wrap=True)
        for change in result.changes:
            out.print(f"  {change}", markup=False)
        for stage in result.stages:
            if stage.status == "failed":
                err.print(f"[red]stage {stage.name} failed[/]: {stage.message}", soft_wrap=True)
        seconds = ", ".join(f"{s.name} {s.seconds:.2f}" for s in result.stages if s.seconds is not None)
        out.print(f"seconds: {seconds}\nwritten: {folder}\n", soft_wrap=True, markup=False)


def _document(result: DiscoveryResult) -> dict[str, Any]:
    spec = result.spec
    return {
        "protocol": spec.protocol,
        "id": spec.id,
        "version": spec.version,
        "digest": spec.digest,
        "types": [{"name": t.name, "label": t.label, "messages": t.messages} for t in spec.types],
        "measures": spec.measures.model_dump(),
        "partial": spec.partial,
        "notes": list(result.notes),
        "changes": [str(change) for change in result.changes],
        "stages": [
            {"name": s.name, "status": s.status, "seconds": s.seconds, "message": s.message} for s in result.stages
        ],
    }
