"""Types and fields as a person reads them on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from ..discovery.spec import Element, Field, KeyField, MessageType, ProtocolSpec, Repeat, Switch
from ..discovery.spec.diff import describe
from ..evidence_text import constraint_text, plural

COLOURS = {
    "type": "bold magenta", "length": "cyan", "count": "cyan", "checksum": "red", "counter": "yellow",
    "timestamp": "yellow", "constant": "blue", "magic": "blue", "version": "blue", "enum": "magenta",
    "flags": "magenta", "identifier": "green", "echo": "green", "address": "green", "text": "bright_green",
    "padding": "bright_black", "opaque": "bright_black", "payload": "white", "delimiter": "bright_black",
    "float": "bright_cyan", "integer": "bright_cyan", "bcd": "bright_cyan",
}  # fmt: skip
LEGEND = "[2]=0x03: byte 2 of the message is 0x03 · @4: at byte 4 · after: behind what varies in width"
# A head that types share is listed once where that leaves out at least so many rows.
WORTH_SHARING = 6


class Row(NamedTuple):
    """One element as the table shows it."""

    depth: int
    name: str
    place: str
    layout: str
    meaning: str
    constraints: str
    support: str


def summary_line(spec: ProtocolSpec) -> Text:
    """Return one line: types, key field, framing, coverage on held-out messages."""
    measures = spec.measures
    parts = ["", plural(len(spec.types), "message type"), plural(measures.messages, "message")]
    if spec.key:
        parts.append(f"key field {key_text(spec.key)}")
    if spec.framing.kind not in ("datagram", "segment"):
        parts.append(f"framing {spec.framing.kind}")
    parts.append(coverage_text(spec))
    parts.append(f"id {spec.id or 'partial'}{' · unconfirmed' if spec.unconfirmed else ''}")
    return Text.assemble((spec.protocol, "bold"), " · ".join(parts))


def key_text(key: KeyField) -> str:
    """Return where the key is and which of its bits tell."""
    order = {"big": " be", "little": " le", None: ""}[key.endianness]
    bits = f" & 0x{key.mask.hex()}" if key.mask else ""
    return f"@{key.offset}{bits} (u{8 * key.width}{order})"


def coverage_text(spec: ProtocolSpec) -> str:
    """Return which share of the messages that inference did not see parses, where there are any."""
    measures = spec.measures
    if not measures.held_out_messages:
        return "coverage not tested (too few distinct messages)"
    return f"coverage {100 * measures.held_out_coverage:.1f} % held-out"


def overview_table(specs: Sequence[ProtocolSpec]) -> Table:
    """Return one row a protocol, those with the most messages first."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("protocol", "messages", "types", "key field", "framing", "held-out coverage", "id"):
        number = column in ("messages", "types", "held-out coverage")
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for spec in sorted(specs, key=lambda s: (-s.measures.messages, s.protocol)):
        measures = spec.measures
        covered = f"{100 * measures.held_out_coverage:.1f} %" if measures.held_out_messages else "-"
        key = key_text(spec.key) if spec.key else "-"
        table.add_row(
            spec.protocol, str(measures.messages), str(len(spec.types)), key, spec.framing.kind, covered,
            spec.id or "partial",
        )  # fmt: skip
    return table


def summary_table(spec: ProtocolSpec, only: MessageType | None = None) -> Table:
    """Return a table of the fields of all types, or of one; a head that many types share is listed once."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("type / field", "where", "layout", "meaning", "constraints", "support"):
        table.add_column(column, overflow="fold", no_wrap=column in ("where", "support"))
    types = [only] if only else spec.types
    rows = [_rows(spec, t.name, t.elements, 0) for t in types]
    head = shared_head(rows)
    if head:
        sharing = sum(listed[: len(head)] == head for listed in rows)
        _add_part(table, f"{sharing} of {len(types)} types begin with", "", head)
    for message_type, listed in zip(types, rows, strict=True):
        _add_part(table, f"{message_type.name} {message_type.label}", _counts(message_type), listed, head)
    for name, elements in () if only else spec.groups.items():
        _add_part(table, f"group {name}", "", _rows(spec, name, elements, None))
    return table


def _rows(spec: ProtocolSpec, owner: str, elements: list[Element], start: int | None) -> list[Row]:
    return [_row(spec, owner, element, depth, place) for depth, place, element in placed(elements, start=start)]


def _counts(message_type: MessageType) -> str:
    counts = plural(message_type.messages, "message")
    asked, answered = message_type.client_to_server, message_type.server_to_client
    return f"{counts} ({asked} to server, {answered} to client)" if asked or answered else counts


def shared_head(listed: Sequence[Sequence[Row]]) -> list[Row]:
    """Return the rows that begin so many of the lists that listing them once saves the most; empty if not worth it."""
    # A head does not end within what belongs together.
    heads = Counter(
        tuple(rows[:size])
        for rows in listed
        for size in range(2, len(rows) + 1)
        if size == len(rows) or rows[size].depth == 1
    )
    saved = {head: (count - 1) * len(head) for head, count in heads.items()}
    best = max(saved, key=lambda head: saved[head], default=())
    return list(best) if best and saved[best] >= WORTH_SHARING else []


def _add_part(table: Table, title: str, counts: str, rows: Sequence[Row], head: Sequence[Row] = ()) -> None:
    table.add_row(Text(title, style="bold"), "", "", "", counts, "")
    if head and list(rows[: len(head)]) == list(head):
        table.add_row(Text(f"  … the {len(head)} above", style="bright_black"))
        rows = rows[len(head) :]
    for row in rows:
        meaning = Text(row.meaning, style=COLOURS.get(row.meaning, ""))
        name, constraints = "  " * row.depth + row.name, Text(row.constraints)
        table.add_row(name, row.place, row.layout, meaning, constraints, row.support)


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


def _row(spec: ProtocolSpec, owner: str, element: Element, depth: int, place: str) -> Row:
    if not isinstance(element, Field):
        mark = "[]" if isinstance(element, Repeat) else "?"
        inside = f" of {element.group}" if isinstance(element, Repeat) and element.group else ""
        return Row(depth, element.name + mark, place, describe(element) + inside, "", "", "")
    layout = describe(element).removeprefix(element.semantic).strip()
    constraints = "; ".join(constraint_text(c, element) for c in element.constraints)
    claimed: list[str] = [c.kind for c in element.constraints]
    support = next((_support(spec, kind, owner, element.name) for kind in claimed or ["field"]), "")
    return Row(depth, element.name, place, layout, element.semantic, constraints, support)


def _support(spec: ProtocolSpec, kind: str, owner: str, name: str) -> str:
    evidence = spec.evidence.get(f"{kind}:{owner}.{name}")
    if evidence is None:
        return ""
    if evidence.untestable:
        return "not testable"
    support = evidence.support + evidence.held_out_support
    return f"{support}/{evidence.trials + evidence.held_out_trials}"
