"""``qbitel discover``: captures in, a result folder out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import click
import numpy as np

from ..api import Discovered, discover_all
from ..discovery.analyst import AnalystLabels
from ..discovery.batch import MessageBatch
from ..discovery.capture_set import Asked
from ..discovery.captured import DiscoveredProtocol
from ..discovery.captures import FORMATS
from ..discovery.orchestrator import DiscoveryResult
from ..discovery.settings import DiscoverySettings
from ..discovery.stages import Progress
from ..results import labels_in, write_results
from . import EXIT_INPUT, EXIT_PARTIAL
from .console import STDIN, out, print_json, remark, stage_progress, warn
from .listing import LEGEND, overview_table, summary_line, summary_table
from .places import needs_extra

# More protocols than that in one capture are listed, one row each.
MOST_TABLES = 3


@click.command("discover")
@click.argument("captures", nargs=-1, callback=lambda _, __, given: tuple(STDIN if c == "-" else c for c in given))
@click.option("--out", "folder", required=True, type=click.Path(path_type=Path), help="Result folder to write.")
@click.option("--port", type=click.IntRange(0, 65535), help="Read only flows with this UDP or TCP port.")
@click.option("--protocol", help="Read only the protocol group of this name, for instance udp_20547.")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), help="Format of the input; found out if not given.")
@click.option(
    "--group", type=click.Choice(["port", "transport"]), help="How to group; tables are regrouped only with it."
)
@click.option("--extend", is_flag=True, help="Learn on: add these captures to what the folder already holds.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of samples and splits.")
@click.option("--stream", help="Instead of captures: a stream that qbitel ingest has fed.")
@click.option("--state", metavar="URI", help="Where the stream's journal lies.")
@click.option(
    "--window", default="all", show_default=True,
    help="Which part of the stream's time, by its captures' clock: the last 15m, 1h or 7d, the last 5000messages, "
    "or SINCE/UNTIL; in whole buckets of five minutes.",
)  # fmt: skip
@click.option("--ray", "address", metavar="ADDRESS", help="The Ray cluster whose actors hold the stream's shards.")
@click.option(
    "--hash-key", type=click.Path(path_type=Path), envvar="QBITEL_HASH_KEY_FILE",
    help="File of the tenant's key, for a stream whose values are hashed; or the key itself in QBITEL_HASH_KEY.",
)  # fmt: skip
@click.option(
    "--on", metavar="ADDRESS",
    help="A running Ray that reads a file, folder or prefix of more than 256 MiB; 'local': one of its own.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def discover_command(
    captures: tuple[str, ...], folder: Path, port: int | None, protocol: str | None, form: str | None,
    group: Literal["port", "transport"] | None, extend: bool, seed: int, stream: str | None, state: str | None,
    window: str, address: str | None, hash_key: Path | None, on: str | None, as_json: bool,
) -> None:  # fmt: skip
    """
    Find the specification of every protocol in CAPTURES, or of a stream, and write it to a folder.

    One of CAPTURES may be a folder or prefix (s3://caps/) whose files one capture was rotated into; it stands alone.
    - is standard input. What an analyst said of messages in the result folder (qbitel label) holds.
    """
    _check_source(captures, stream, state)
    as_set = _is_set(captures, on, alone=not (extend or form or group))
    labels = labels_in(folder)
    dead: list[str] = []
    with stage_progress("discovering") as progress:
        if stream and state:
            found = _in_stream(stream, state, address, hash_key, progress, window, labels)
        elif as_set:
            asked, settings = Asked(port, protocol), DiscoverySettings(seed=seed)
            found = _in_set(captures[0], asked, settings, on, progress, dead, labels)
        else:
            found = discover_all(
                captures, only=protocol, port=port, form=form, group=group, progress=progress,
                settings=DiscoverySettings(seed=seed), extend=folder if extend else None, labels=labels,
            )  # fmt: skip
    write_results(folder, [(f.result, f.messages) for f in found.protocols], found.warnings, beside=extend)
    _tell(found, folder, as_json)
    _end(found, dead)


def _end(found: Discovered, dead: list[str]) -> None:
    for reason in dead:
        click.echo(f"qbitel: {reason}", err=True)
    if dead:
        sys.exit(EXIT_INPUT)
    if any(f.result.spec.partial for f in found.protocols):
        sys.exit(EXIT_PARTIAL)


def _tell(found: Discovered, folder: Path, as_json: bool) -> None:
    for warning in found.warnings:
        warn(warning)
    if as_json:
        print_json({"protocols": [_document(f.result) for f in found.protocols], "warnings": list(found.warnings)})
    else:
        _print([f.result for f in found.protocols], folder)


def _check_source(captures: tuple[str, ...], stream: str | None, state: str | None) -> None:
    if bool(captures) == bool(stream) or bool(stream) != bool(state):
        raise click.UsageError("captures are needed, or --stream and --state")


@needs_extra("cluster")
def _in_stream(
    stream: str, state: str, address: str | None, key: Path | None, progress: Progress, window: str,
    labels: Mapping[str, AnalystLabels],
) -> Discovered:  # fmt: skip
    from .shards import discover_stream

    result = discover_stream(stream, state, address, progress, key, window, labels)
    sample = result.statistics.sample()
    examples = MessageBatch.from_view(sample.view.take(np.array(result.privacy.examples(sample), np.int64)))
    return Discovered((DiscoveredProtocol(result, examples),), ())


def _is_set(captures: tuple[str, ...], on: str | None, *, alone: bool) -> bool:
    found = bool(on) or any("://" in capture or Path(capture).is_dir() for capture in captures)
    if found and (len(captures) != 1 or not alone):
        raise click.UsageError("a folder, a prefix and --on stand alone, without --extend, --format and --group")
    return found


@needs_extra("cluster")
def _in_set(
    source: str, asked: Asked, settings: DiscoverySettings, on: str | None, progress: Progress, dead: list[str],
    labels: Mapping[str, AnalystLabels],
) -> Discovered:  # fmt: skip
    from ..actors.bulk import discover_set
    from ..actors.reading import Report

    report = Report()
    try:
        found = discover_set(source, asked, report, on, settings, progress, perf_counter, labels)
    finally:
        dead += [letter.reason for letter in report.dead]
    return Discovered(tuple(found), tuple(report.warnings))


def _print(results: list[DiscoveryResult], folder: Path) -> None:
    if len(results) > MOST_TABLES:
        _print_overview(results, folder)
        return
    for result in results:
        out.print(summary_line(result.spec), soft_wrap=True)
        out.print(summary_table(result.spec))
        _print_remarks(result)
        seconds = ", ".join(f"{s.name} {s.seconds:.2f}" for s in result.stages if s.seconds is not None)
        out.print(f"seconds: {seconds}\nwritten: {folder / result.spec.protocol}\n", soft_wrap=True)
    out.print(LEGEND, style="bright_black", soft_wrap=True)
    name = f" --protocol {results[0].spec.protocol}" if len(results) > 1 else ""
    _print_next(folder, name, results[0])


def _print_overview(results: list[DiscoveryResult], folder: Path) -> None:
    """Many protocols: a row each, and their remarks; the tables are a command away."""
    out.print(overview_table([result.spec for result in results]))
    for result in results:
        _print_remarks(result, f"{result.spec.protocol}: ")
    out.print(f"written: {folder}", soft_wrap=True)
    richest = max(results, key=lambda result: result.spec.measures.messages)
    _print_next(folder, f" --protocol {richest.spec.protocol}", richest)


def _print_next(folder: Path, name: str, result: DiscoveryResult) -> None:
    key = " key" if result.spec.key else f" {result.spec.types[0].name}" if result.spec.types else ""
    out.print(f"look closer: qbitel show {folder}{name}", soft_wrap=True)
    if key:
        out.print(f"ask why:     qbitel why {folder}{key}{name}", soft_wrap=True)


def _print_remarks(result: DiscoveryResult, prefix: str = "") -> None:
    for note in (*result.notes, *filter(None, [str(result.privacy)])):
        remark("note", f"{prefix}{note}", console=out)
    for change in result.changes:
        out.print(f"  {prefix}{change}", soft_wrap=True)
    for stage in result.stages:
        if stage.status == "failed":
            remark(f"stage {stage.name} failed", f"{prefix}{stage.message}", style="red")


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
