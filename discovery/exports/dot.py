"""Export to Graphviz: message types as records of fields, and the order in which types follow each other in a flow."""

from __future__ import annotations

from collections.abc import Iterable

from ..spec import Element, Field, ProtocolSpec, Repeat
from ..spec.diff import describe

MAX_FIELDS = 24


def to_dot(spec: ProtocolSpec) -> str:
    """Return a directed graph: a node a type, an edge a transition seen in flows, labelled with its count."""
    lines = [
        f"digraph {quote(spec.protocol)} {{",
        '  graph [rankdir=LR, fontname="sans-serif"];',
        '  node [shape=plaintext, fontname="sans-serif", fontsize=10];',
        '  edge [fontname="sans-serif", fontsize=9];',
    ]
    for message_type in spec.types:
        title = f"{message_type.label or message_type.name}: {message_type.messages} messages"
        lines.append(f"  {quote(message_type.name)} [label=<{_table(title, message_type.elements)}>];")
    states = {state for t in spec.sequence.transitions for state in (t.source, t.target)}
    known = {t.name for t in spec.types}
    lines.extend(f"  {quote(state)} [shape=circle, label={quote(state)}];" for state in sorted(states - known))
    for transition in spec.sequence.transitions:
        label = f"{transition.count} {transition.direction}" if transition.direction != "unknown" else transition.count
        lines.append(f"  {quote(transition.source)} -> {quote(transition.target)} [label={quote(str(label))}];")
    return "\n".join([*lines, "}"]) + "\n"


def _table(title: str, elements: Iterable[Element]) -> str:
    rows = [f'<tr><td colspan="2" bgcolor="#dce6f2"><b>{escape(title)}</b></td></tr>']
    listed = list(elements)
    for element in listed[:MAX_FIELDS]:
        name = element.name + ("[]" if isinstance(element, Repeat) else "")
        shade = ' bgcolor="#f4f4f4"' if isinstance(element, Field) and element.semantic == "unknown" else ""
        rows.append(
            f'<tr><td align="left"{shade}>{escape(name)}</td><td align="left">{escape(describe(element))}</td></tr>'
        )
    if len(listed) > MAX_FIELDS:
        rows.append(f'<tr><td colspan="2">and {len(listed) - MAX_FIELDS} more</td></tr>')
    return '<table border="0" cellborder="1" cellspacing="0">' + "".join(rows) + "</table>"


def escape(text: str) -> str:
    """Escape text for Graphviz's HTML-like labels; bytes outside printable ASCII become a question mark."""
    safe = "".join(c if 32 <= ord(c) < 127 else "?" for c in text)
    return safe.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def quote(text: str) -> str:
    """Quote a string for Graphviz."""
    safe = "".join(c if 32 <= ord(c) < 127 else "?" for c in text)
    return '"' + safe.replace("\\", "\\\\").replace('"', '\\"') + '"'
