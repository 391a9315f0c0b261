"""``qbitel scan``: known-bad content in the messages of a capture."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from ..discovery.captured import protocols_in
from ..discovery.captures import FORMATS, read_capture
from . import EXIT_NO
from .console import InputFile, out, print_json, warn
from .places import needs_extra


@click.command("scan")
@click.argument("captures", nargs=-1, required=True, type=InputFile())
@click.option(
    "--rules",
    type=click.Path(path_type=Path, exists=True),
    envvar="QBITEL_SCAN_RULES",
    help="YARA rules beside the bundled ones: a file, or a folder of *.yar.",
)
@click.option("--seconds", type=click.FloatRange(1, 86_400), default=600.0, show_default=True, help="Time it may take.")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), help="Format of the input; found out if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@needs_extra("cluster")
def scan_command(
    captures: tuple[Path, ...], rules: Path | None, seconds: float, form: str | None, as_json: bool
) -> None:
    """Look for known-bad content in the messages of CAPTURES by YARA rules; exit code 1 where there is some."""
    from ..cluster.payload_scan import PayloadScan

    scan = PayloadScan(rules, seconds=seconds)
    read = [read_capture(path, format=form) for path in captures]
    for warning in (each for capture in read for each in capture.warnings):
        warn(warning)
    found = scan.scan(batch for group in protocols_in(read) for batch in group.batches.values())
    if as_json:
        print_json(asdict(found))
    else:
        for line in found.lines():
            out.print(line, soft_wrap=True)
        out.print(f"{found.messages} messages, {len(found.findings)} rules matched")
    if found.findings:
        sys.exit(EXIT_NO)
