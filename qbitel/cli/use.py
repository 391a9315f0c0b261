"""``qbitel parse``, ``qbitel validate`` and ``qbitel fields``: apply a specification to messages."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..api import load_messages
from ..discovery.batch import MessageBatch, packet_and_part, place_text
from ..discovery.parser import ParsedBatch, Parser
from ..discovery.spec import UNKNOWN_TYPE, ProtocolSpec
from ..discovery.validator import LEVELS, MessageValidator, Violation, load_rules
from ..results import open_results
from . import EXIT_NO
from .console import InputFile, out, output, print_json, tracked, warn

CHUNK = 1 << 14

folder_argument = click.argument("folder", type=click.Path(path_type=Path))
input_argument = click.argument("source", metavar="INPUT", type=InputFile())
protocol_option = click.option("--protocol", help="Which protocol, where the folder holds several.")
port_option = click.option(
    "--port", type=click.IntRange(0, 65535), help="Read only flows with this UDP or TCP port of INPUT."
)


def _open(folder: Path, protocol: str | None, source: Path, port: int | None) -> tuple[ProtocolSpec, MessageBatch]:
    spec = open_results(folder, protocol).spec
    batch, warnings = load_messages(source, spec, port)
    for warning in warnings:
        warn(warning)
    return spec, batch


def _chunks(batch: MessageBatch, title: str) -> Iterator[tuple[int, MessageBatch]]:
    for start in tracked(range(0, len(batch), CHUNK), title):
        yield start, batch.slice(start, CHUNK)


@click.command("parse")
@folder_argument
@input_argument
@protocol_option
@port_option
@click.option(
    "--format", "form", type=click.Choice(["ndjson", "arrow", "parquet"]), default="ndjson", show_default=True
)
@click.option("--out", "target", type=click.Path(path_type=Path), help="File to write; standard output if not given.")
def parse_command(
    folder: Path, source: Path, protocol: str | None, port: int | None, form: str, target: Path | None
) -> None:
    """Parse the messages of INPUT: one JSON object a line, or Arrow columns, one row a message."""
    spec, batch = _open(folder, protocol, source, port)
    parser = Parser(spec)
    with output(target) as sink:
        if form == "ndjson":
            for start, chunk in _chunks(batch, "parsing"):
                view = chunk.view()
                for row in range(len(view)):
                    document = {"row": start + row, **parser.parse(view.payload(row)).to_dict()}
                    sink.write(json.dumps(document, ensure_ascii=True).encode() + b"\n")
            return
        tables = [parser.parse_batch(chunk).to_arrow() for _, chunk in _chunks(batch, "parsing")]
        table = pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})
        if form == "arrow":
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
        else:
            pq.write_table(table, sink)


@click.command("fields")
@folder_argument
@input_argument
@protocol_option
@port_option
@click.option("--ndjson", is_flag=True, help="One JSON object a line (the only format; kept for clarity).")
def fields_command(folder: Path, source: Path, protocol: str | None, port: int | None, ndjson: bool) -> None:
    """Print type, field boundaries and meanings of every message of INPUT, in order, one JSON object a line."""
    spec, batch = _open(folder, protocol, source, port)
    parser = Parser(spec)
    names = [*(t.name for t in spec.types), UNKNOWN_TYPE]
    for start, chunk in _chunks(batch, "reading fields"):
        sys.stdout.writelines(_field_lines(start, chunk, parser.parse_batch(chunk), names))


def _field_lines(start: int, chunk: MessageBatch, parsed: ParsedBatch, names: list[str]) -> Iterator[str]:
    labels = [symbol.semantic for symbol in parsed.symbols]
    lengths = chunk.view().lengths
    first = np.searchsorted(parsed.leaf_row, np.arange(len(chunk) + 1))
    for row in range(len(chunk)):
        begins = parsed.leaf_start[first[row] : first[row + 1]].tolist()
        sizes = parsed.leaf_length[first[row] : first[row + 1]].tolist()
        symbols = parsed.leaf_symbol[first[row] : first[row + 1]].tolist()
        known = [
            {"start": begin, "length": size, "label": labels[symbol]}
            for begin, size, symbol in zip(begins, sizes, symbols, strict=True)
            if size and symbol >= 0 and labels[symbol] not in ("unknown", "payload")
        ]
        inner = sorted({begin for begin, size in zip(begins, sizes, strict=True) if size and 0 < begin < lengths[row]})
        document = {
            "row": start + row, "type": names[int(parsed.type_index[row])], "boundaries": inner, "semantics": known,
        }  # fmt: skip
        yield json.dumps(document) + "\n"


@click.command("validate")
@folder_argument
@input_argument
@protocol_option
@port_option
@click.option("--level", type=click.Choice(LEVELS), default="standard", show_default=True)
@click.option("--rules", "rules_file", type=click.Path(path_type=Path), help="Custom rules (JSON or TOML).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a message.")
def validate_command(
    folder: Path, source: Path, protocol: str | None, port: int | None, level: str, rules_file: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """
    Judge every message of INPUT; exit code 1 if any is invalid.

    Each level holds those before it: basic (size, framing, known type), standard (structure), strict (constraints,
    checksums, counters of a flow), enterprise (likelihood of the message and of the sequence of types). A line names
    the row, as fields and parse count it, and the packet where that differs.
    """
    spec, batch = _open(folder, protocol, source, port)
    rules = load_rules(rules_file, Parser(spec).symbols) if rules_file else ()
    validator = MessageValidator(spec, level, rules)
    numbers = batch.view().number
    result = validator.validate_batch(batch)
    by_row = {row: [v for _, v in found] for row, found in groupby(result.violations(), key=lambda item: item[0])}
    for row in range(len(batch)) if as_json else by_row:
        _print_verdict(row, packet_and_part(int(numbers[row])), by_row.get(row, []), as_json)
    if not as_json:
        out.print(f"{int(result.valid.sum())} of {len(batch)} messages valid at level {level}", highlight=False)
    if not result.valid.all():
        sys.exit(EXIT_NO)


def _print_verdict(row: int, place: tuple[int, int], violations: list[Violation], as_json: bool) -> None:
    packet, part = place
    if as_json:
        found = [vars(violation) for violation in violations]
        print_json({"row": row, "number": packet, "part": part, "valid": not violations, "violations": found})
        return
    where = f"row {row}" if (row, 0) == place else f"row {row} (packet {place_text(packet, part)})"
    for v in violations:
        out.print(f"{where}: {v.rule} [{v.start}:{v.start + v.length}] {v.reason}", soft_wrap=True)
