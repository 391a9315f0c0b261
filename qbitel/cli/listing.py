"""Types and fields as a person reads them on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from ..discovery.spec import Element, Field, MessageType, ProtocolSpec, Repeat, Switch
from ..discovery.spec.diff import describe
from ..evidence_text import constraint_text

COLOURS = {
    "type": "bold magenta", "length": "cyan", "count": "cyan", "checksum": "red", "counter": "yellow",
    "timestamp": "yellow", "constant": "blue", "magic": "blue", "version": "blue", "enum": "magenta",
    "flags": "magenta", "identifier": "green", "echo": "green", "address": "green", "text": "bright_green",
    "padding": "bright_black", "opaque": "bright_black", "payload": "white", "delimiter": "bright_black",
    "float": "bright_cyan", "integer": "bright_cyan", "bcd": "bright_cyan",
}  # fmt: skip


def summary_line(spec: ProtocolSpec) -> str:
    """Return one line: types, key field, framing, coverage on held-out messages."""
    parts = [f"[bold]{spec.protocol}[/]", f"{len(spec.types)} message type(s)", f"{spec.measures.messages} messages"]
    if spec.key:
        order = {"big": " be", "little": " le", None: ""}[spec.key.endianness]
        parts.append(f"key field @{spec.key.offset} (u{8 * spec.key.width}{order})")
    if spec.framing.kind not in ("datagram", "segment"):
        parts.append(f"framing {spec.framing.kind}")
    parts.append(f"coverage {100 * spec.measures.held_out_coverage:.1f} % held-out")
    parts.append(f"id {spec.id or 'partial'}")
    return " · ".join(parts)


def summary_table(spec: ProtocolSpec, only: MessageType | None = None) -> Table:
    """Return a table of the fields of all types, or of one."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("type / field", "where", "layout", "meaning", "constraints", "support"):
        table.add_column(column, overflow="fold")
    for message_type in [only] if only else spec.types:
        counts = f"{message_type.messages} messages"
        directed = message_type.client_to_server or message_type.server_to_client
        if directed:
            counts += f" ({message_type.client_to_server} to server, {message_type.server_to_client} to client)"
        table.add_row(Text(f"{message_type.name} {message_type.label}", style="bold"), "", "", "", counts, "")
        for depth, place, element in placed(message_type.elements):
            table.add_row(*_row(spec, message_type.name, element, depth, place))
    for name, elements in () if only else spec.groups.items():
        table.add_row(Text(f"group {name}", style="bold"), "", "", "", "", "")
        for depth, place, element in placed(elements, start=None):
            table.add_row(*_row(spec, name, element, depth, place))
    return table


def placed(elements: list[Element], depth: int = 1, start: int | None = 0) -> Iterator[tuple[int, str, Element]]:
    """Yield (depth, where it starts, element); where is ``@offset`` while all before it is fixed, else ``after``."""
    offset = start
    for element in elements:
        yield depth, f"@{offset}" if offset is not None else "after", element
        if isinstance(element, Switch):
            for case in element.cases:
                yield from placed(case.elements, depth + 1, None)
            yield from placed(element.default, depth + 1, None)
        else:
            yield from placed(element.elements, depth + 1, offset if isinstance(element, Field) else None)
        fixed = isinstance(element, Field) and element.width.kind == "fixed"
        offset = offset + element.width.size if offset is not None and fixed else None  # type: ignore[union-attr]


def _row(spec: ProtocolSpec, owner: str, element: Element, depth: int, place: str) -> tuple[str | Text, ...]:
    indent = "  " * depth
    if not isinstance(element, Field):
        mark = "[]" if isinstance(element, Repeat) else "?"
        inside = f" of {element.group}" if isinstance(element, Repeat) and element.group else ""
        return indent + element.name + mark, place, describe(element) + inside, "", "", ""
    meaning = Text(element.semantic, style=COLOURS.get(element.semantic, ""))
    layout = describe(element).removeprefix(element.semantic).strip()
    constraints = "; ".join(constraint_text(c) for c in element.constraints)
    support = next((_support(spec, c.kind, owner, element.name) for c in element.constraints), "")
    return indent + element.name, place, layout, meaning, constraints, support


def _support(spec: ProtocolSpec, kind: str, owner: str, name: str) -> str:
    evidence = spec.evidence.get(f"{kind}:{owner}.{name}")
    if evidence is None:
        return ""
    support = evidence.support + evidence.held_out_support
    return f"{support}/{evidence.trials + evidence.held_out_trials}"
