"""``qbitel show``, ``qbitel why`` and ``qbitel export``: look into a result folder."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import numpy as np
from rich.text import Text

from ..discovery.batch import MessageBatch, packet_and_part, place_text
from ..discovery.errors import NotFoundError
from ..discovery.exports import FORMATS, export
from ..discovery.parser import Parser, ParseTree
from ..discovery.parser.tree import Node
from ..discovery.relations.timestamp import FORMS as TIMES
from ..discovery.relations.timestamp import Form, seconds_of
from ..discovery.spec import MessageType, ProtocolSpec
from ..evidence_text import claim_lines, resolve_claims
from ..results import open_results, protocols_of
from .console import out, output, print_json
from .listing import COLOURS, LEGEND, overview_table, summary_line, summary_table

LAST_S = 253_402_300_800  # the year 10,000

folder_argument = click.argument("folder", type=click.Path(path_type=Path))
protocol_option = click.option("--protocol", help="Which protocol, where the folder holds several.")


def read_place(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Read ``57``, or ``57.2`` for the third message that begins in packet 57: packet (or row) and part."""
    if value is None:
        return None
    packet, _, part = value.partition(".")
    if not (packet.isdecimal() and (part or "0").isdecimal()):
        raise click.BadParameter(f"'{value}' is no number of a message, like 57 or 57.2")
    return int(packet), int(part or 0)


@click.command("show")
@folder_argument
@protocol_option
@click.option("--type", "type_name", help="Only this message type (name, label or key value).")
@click.option(
    "--msg",
    "place",
    metavar="N[.K]",
    callback=read_place,
    help="Show a kept message as hex and tree: of packet or row N (its K-th), or with --type the N-th of the type.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the specification, or the message's tree, as JSON.")
def show_command(
    folder: Path, protocol: str | None, type_name: str | None, place: tuple[int, int] | None, as_json: bool
) -> None:
    """
    Show the types and fields in FOLDER, or one of its messages as coloured hex and tree.

    Of several protocols each gets a row; --protocol names the one to show.
    """
    if not any((protocol, type_name, place, as_json)) and _several(folder):
        return
    stored = open_results(folder, protocol)
    spec = stored.spec
    chosen = find_type(spec, type_name) if type_name else None
    if place is not None:
        _show_message(spec, pick_message(spec, stored.messages(), chosen, place), as_json)
    elif as_json:
        sys.stdout.write((chosen.model_dump_json() if chosen else spec.to_bytes().decode()) + "\n")
    else:
        out.print(summary_line(spec), soft_wrap=True)
        out.print(summary_table(spec, chosen))
        out.print(LEGEND, style="bright_black", soft_wrap=True)


def _several(folder: Path) -> bool:
    """List the protocols of a folder that holds more than one, a row each."""
    names = protocols_of(folder)
    if len(names) > 1:
        out.print(overview_table([open_results(folder, name).spec for name in names]))
        out.print(f"look closer: qbitel show {folder} --protocol NAME", soft_wrap=True)
    return len(names) > 1


def find_type(spec: ProtocolSpec, text: str) -> MessageType:
    """
    Return the type that a person means: by name, label, or the key value in the label.

    Raises:
        NotFoundError: there is none.
    """
    for message_type in spec.types:
        if text in (message_type.name, message_type.label, message_type.label.split("=")[-1]):
            return message_type
    names = ", ".join(f"{t.name} ({t.label})" if t.label else t.name for t in spec.types[:8])
    raise NotFoundError(f"no message type '{text}'", hint=f"types: {names}")


def pick_message(spec: ProtocolSpec, kept: MessageBatch, chosen: MessageType | None, place: tuple[int, int]) -> bytes:
    """
    Return a kept message: the one at that place of its capture (packet or row, and which message of it), or with a
    type, the so-many-th kept of that type.

    Raises:
        NotFoundError: no such message was kept.
    """
    view = kept.view()
    rows = np.arange(len(view))
    if chosen is not None:
        rows = np.flatnonzero(Parser(spec).parse_batch(kept).type_index == spec.types.index(chosen))
    places = [packet_and_part(int(number)) for number in view.number[rows]]
    if place in places:
        return view.payload(int(rows[places.index(place)]))
    if chosen is not None and place[1] == 0 and place[0] < len(rows):
        return view.payload(int(rows[place[0]]))
    listed = ", ".join(place_text(packet, part) for packet, part in places[:12]) + (", ..." if len(places) > 12 else "")
    raise NotFoundError(f"message {place_text(*place)} was not kept as an example", hint=f"kept: {listed or 'none'}")


def _show_message(spec: ProtocolSpec, message: bytes, as_json: bool) -> None:
    tree = Parser(spec).parse(message)
    if as_json:
        print_json(tree.to_dict())
        return
    leaves = list(tree.leaves())
    colours = [""] * len(message)
    for leaf in leaves:
        style = COLOURS.get(leaf.semantic, "")
        colours[leaf.start : leaf.start + leaf.length] = [style] * leaf.length
    starts = {leaf.start for leaf in leaves}
    for line in range(0, len(message), 16):
        out.print(_hex_line(message, line, colours, starts), soft_wrap=True)
    out.print(Text(f"{tree.type_name}" + (f"  error at byte {tree.error_offset}: {tree.error}" if tree.error else "")))
    _print_tree(tree, message)


def _hex_line(message: bytes, line: int, colours: list[str], starts: set[int]) -> Text:
    text = Text(f"{line:06x} ")
    for offset in range(line, line + 16):
        if offset < len(message):
            # A bar marks where a field begins, so that the borders are seen without colour too.
            text.append("|" if offset in starts else " ").append(f"{message[offset]:02x}", style=colours[offset])
        else:
            text.append("   ")
    text.append("  ")
    for offset in range(line, min(line + 16, len(message))):
        byte = message[offset]
        text.append(chr(byte) if 32 <= byte < 127 else ".", style=colours[offset])
    return text


def _print_tree(tree: ParseTree, message: bytes) -> None:
    for depth, node in tree.walk():
        line = Text("  " * depth + node.name, style="bold" if node.children else "")
        line.append(f"  [{node.start}:{node.start + node.length}]", style="bright_black")
        if not node.children:
            line.append(f"  {node.semantic}", style=COLOURS.get(node.semantic, ""))
            line.append(f"  {_value_text(node.value)}{_time_text(node)}")
        out.print(line, soft_wrap=True)


def _value_text(value: object) -> str:
    if isinstance(value, bytes):
        return f"0x{value[:24].hex()}" + ("..." if len(value) > 24 else "")
    if isinstance(value, int):
        return f"{value} (0x{value:x})" if value >= 0 else str(value)
    return ascii(value)


def _time_text(node: Node) -> str:
    """Return the date that a number stands for, where it was found to be a time."""
    form = _form_of(node)
    if form is None or not isinstance(node.value, int) or not node.value:
        return ""
    seconds = float(seconds_of(np.array([node.value], np.uint64), form)[0])
    return f" {datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC" if 0 <= seconds < LAST_S else ""


def _form_of(node: Node) -> Form | None:
    constraints = node.symbol.field.constraints if node.symbol.field else ()
    # DOS times are no count of seconds: the core knows them only roughly.
    names = [c.form for c in constraints if c.kind == "timestamp" and c.form != "dos"]
    return next((form for form in TIMES if form.name in names and form.width == node.length), None)


@click.command("why")
@folder_argument
@click.argument("claim")
@protocol_option
@click.option("--json", "as_json", is_flag=True, help="Print the evidence as JSON, one line a claim.")
def why_command(folder: Path, claim: str, protocol: str | None, as_json: bool) -> None:
    """
    Show the evidence for CLAIM: how often it held, on which messages, what was weighed against it.

    CLAIM is one claim (length:t03.length, type:t03, key:protocol, framing:stream), a field (t03.length) or a type
    (t03) for all about it, or a kind (key, framing). In 'message 57.2', 57 is the packet, from 0 (Wireshark's frame
    58), and 2 says that it is the third message that begins there.
    """
    spec = open_results(folder, protocol).spec
    for name in resolve_claims(spec, claim):
        if as_json:
            print_json({"claim": name, **spec.evidence[name].model_dump(mode="json")})
            continue
        for line in claim_lines(spec, name):
            out.print(line, soft_wrap=True)


@click.command("export")
@folder_argument
@click.option("--to", "form", required=True, type=click.Choice(list(FORMATS)), help="What to write.")
@protocol_option
@click.option("--out", "target", type=click.Path(path_type=Path), help="File to write; standard output if not given.")
def export_command(folder: Path, form: str, protocol: str | None, target: Path | None) -> None:
    """Write the specification in FOLDER in another language."""
    text = export(open_results(folder, protocol).spec, form)
    with output(target) as sink:
        sink.write(text.encode())
