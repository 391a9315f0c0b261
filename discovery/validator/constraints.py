"""One check for each kind of constraint: which leaves hold it, and the sentence for those that do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checksums import checksum_values, covered, region_values
from ..relations.timestamp import FORMS, near_times
from ..spec import (
    Checksum,
    Constant,
    Constraint,
    Count,
    Enum,
    Flags,
    Length,
    Padding,
    Range,
    Text,
    Timestamp,
    checks_field,
)  # fmt: skip
from .framing import FAR
from .values import Leaves

Check = Callable[[Leaves, Any], "NDArray[np.bool_] | None"]

PRINTABLE = np.zeros(256, bool)
PRINTABLE[[9, 10, 13, *range(32, 127)]] = True


def constant(leaves: Leaves, constraint: Constant) -> NDArray[np.bool_]:
    """The bytes are these."""
    return leaves.equals_any([constraint.value])


def enum(leaves: Leaves, constraint: Enum) -> NDArray[np.bool_]:
    """The bytes are one of these."""
    return leaves.equals_any(constraint.values)


def range_(leaves: Leaves, constraint: Range) -> NDArray[np.bool_]:
    """The number is within bounds."""
    if leaves.field.encoding == "int":
        return (leaves.numbers >= constraint.minimum) & (leaves.numbers <= constraint.maximum)
    low, high = max(constraint.minimum, 0), min(constraint.maximum, 2**64 - 1)
    return (leaves.unsigned >= np.uint64(low)) & (leaves.unsigned <= np.uint64(max(high, 0)))


def flags(leaves: Leaves, constraint: Flags) -> NDArray[np.bool_]:
    """No bit outside the mask is set."""
    mask = int.from_bytes(constraint.mask[:8], "big")
    forbidden = np.uint64(~mask & (1 << 8 * min(len(constraint.mask), 8)) - 1)
    holds: NDArray[np.bool_] = (leaves.big & forbidden) == 0
    return holds


def length(leaves: Leaves, constraint: Length) -> NDArray[np.bool_] | None:
    """The value says the bytes of the message, of what follows in its region, or of a field."""
    total = leaves.parsed.view.lengths[leaves.rows]
    if constraint.of == "message":
        size = total
    elif constraint.of == "content":
        size = total - _checksums_of_fields(leaves)
    elif constraint.of == "rest":
        end = _region_end(leaves) if "." in leaves.symbol.path else total
        if end is None:
            return None
        size = end - leaves.starts - leaves.lengths
    else:
        found = _extent(leaves, constraint.target or "")
        if found is None:
            return None
        size = found
    told = np.clip(leaves.numbers, -FAR, FAR) * constraint.scale + constraint.bias
    holds: NDArray[np.bool_] = told == size
    return holds


def _checksums_of_fields(leaves: Leaves) -> NDArray[np.int64]:
    """Bytes of the checksums in each message that cover a field."""
    size = np.zeros(len(leaves.parsed), np.int64)
    for index, symbol in enumerate(leaves.parsed.symbols):
        if symbol.field is not None and checks_field(symbol.field):
            members = leaves.parsed.leaves_of(index)
            np.add.at(size, leaves.parsed.leaf_row[members], leaves.parsed.leaf_length[members])
    return size[leaves.rows]


def _region_end(leaves: Leaves) -> NDArray[np.int64] | None:
    """Where the field ends that this one lies in; None inside repeats, whose items have no region of their own."""
    if leaves.symbol.repeated:
        return None
    parent = leaves.symbol.path.rpartition(".")[0]
    ends = np.zeros(len(leaves.parsed), np.int64)
    parsed = leaves.parsed
    for index, symbol in enumerate(parsed.symbols):
        if symbol.type == leaves.symbol.type and (symbol.path == parent or symbol.path.startswith(parent + ".")):
            members = parsed.leaves_of(index)
            np.maximum.at(ends, parsed.leaf_row[members], parsed.leaf_start[members] + parsed.leaf_length[members])
    return ends[leaves.rows]


def _extent(leaves: Leaves, target: str) -> NDArray[np.int64] | None:
    """Bytes of the field or repeat of that name beside this one; None inside repeats, where the parser checks."""
    if leaves.symbol.repeated:
        return None
    size = np.zeros(len(leaves.parsed), np.int64)
    for symbol, members in _members(leaves, target):
        del symbol
        np.add.at(size, leaves.parsed.leaf_row[members], leaves.parsed.leaf_length[members])
    return size[leaves.rows]


def count(leaves: Leaves, constraint: Count) -> NDArray[np.bool_] | None:
    """The value says the number of items of a repeat beside this field."""
    if leaves.symbol.repeated:
        return None
    items = np.zeros(len(leaves.parsed), np.int64)
    for symbol, members in _members(leaves, constraint.target):
        # Deeper repeats count their own items.
        if symbol.path.count(".") == leaves.symbol.path.count(".") + 1:
            np.maximum.at(items, leaves.parsed.leaf_row[members], leaves.parsed.leaf_item[members] + 1)
    holds: NDArray[np.bool_] = np.clip(leaves.numbers, -FAR, FAR) + constraint.bias == items[leaves.rows]
    return holds


def _members(leaves: Leaves, target: str) -> list[tuple[Any, NDArray[np.int64]]]:
    prefix = leaves.symbol.path.rpartition(".")[0]
    wanted = f"{prefix}.{target}" if prefix else target
    return [
        (symbol, leaves.parsed.leaves_of(index))
        for index, symbol in enumerate(leaves.parsed.symbols)
        if symbol.type == leaves.symbol.type and (symbol.path == wanted or symbol.path.startswith(wanted + "."))
    ]


def checksum(leaves: Leaves, constraint: Checksum) -> NDArray[np.bool_]:
    """The value is the checksum of its region."""
    little = leaves.field.endianness == "little"
    width = int(leaves.lengths[0]) if len(leaves) else 0
    if 0 < width <= 8 and bool((leaves.lengths == width).all()):
        equal: NDArray[np.bool_] = leaves.unsigned == _expected(leaves, constraint, slice(None), width, little)
        return equal
    holds = np.zeros(len(leaves), bool)
    for width in np.unique(leaves.lengths[(leaves.lengths > 0) & (leaves.lengths <= 8)]).tolist():
        k = np.flatnonzero(leaves.lengths == width)
        expected = _expected(leaves, constraint, k, width, little)
        holds[k] = leaves.unsigned[k] == expected
    return holds


def _expected(
    leaves: Leaves, constraint: Checksum, k: NDArray[np.int64] | slice, width: int, little: bool
) -> NDArray[np.uint64]:
    view = leaves.parsed.view
    if constraint.target is None:
        return checksum_values(view, leaves.rows[k], constraint, leaves.starts[k], width, little)
    begin, lengths = _target(leaves, constraint.target)
    first, last = covered(constraint, begin[k], lengths[k])
    return region_values(view.data, first, last, constraint, leaves.at[k], width, little)


def _target(leaves: Leaves, target: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where in the view's data the field of that name begins which each leaf stands behind, and its bytes."""
    parsed = leaves.parsed
    own = (leaves.rows << 32) + leaves.starts
    order = np.argsort(own, kind="stable")
    own, rows = own[order], leaves.rows[order]
    first = leaves.starts[order]
    last = np.zeros(len(order), np.int64)
    for _, members in _members(leaves, target):
        row, begin = parsed.leaf_row[members].astype(np.int64), parsed.leaf_start[members].astype(np.int64)
        owner = np.searchsorted(own, (row << 32) + begin, "right")
        same = rows[np.minimum(owner, len(rows) - 1)] == row
        inside = (owner < len(rows)) & same
        np.minimum.at(first, owner[inside], begin[inside])
        np.maximum.at(last, owner[inside], (begin + parsed.leaf_length[members])[inside])
    back = np.argsort(order, kind="stable")
    return parsed.view.starts[leaves.rows] + first[back], np.maximum(last - first, 0)[back]


def text(leaves: Leaves, constraint: Text) -> NDArray[np.bool_]:
    """The bytes are text of the character set, padding aside."""
    allowed = PRINTABLE.copy()
    for byte in constraint.padding or b"\0":
        allowed[byte] = True
    if constraint.charset == "ascii":
        return _none(leaves.bytes_outside(allowed))
    codec = constraint.charset
    return np.array([_decodes(leaves.content(k), codec) for k in range(len(leaves))], bool)


def _none(counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.equal(counts, 0)


def _decodes(content: bytes, codec: str) -> bool:
    try:
        content.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def padding(leaves: Leaves, constraint: Padding) -> NDArray[np.bool_]:
    """Every byte is the same one."""
    allowed = np.zeros(256, bool)
    allowed[constraint.byte] = True
    return _none(leaves.bytes_outside(allowed))


def timestamp(leaves: Leaves, constraint: Timestamp) -> NDArray[np.bool_] | None:
    """
    The time is within a day of the capture's own, in plausible years where that has none, or not set (zero).

    Ticks of a clock that began at an unknown time (``uptime``) are no time that one message could break.
    """
    if constraint.form == "uptime":
        return None
    holds = np.ones(len(leaves), np.bool_)
    ts = leaves.parsed.view.ts[leaves.rows]
    for form in FORMS:
        if form.name == constraint.form:
            k = np.flatnonzero(leaves.lengths == form.width)
            holds[k] = near_times(leaves.unsigned[k], ts[k], form)
    return holds


# Constraints that single messages can break; counters and echoes need the flow (``flows``), addresses its endpoints
# (``endpoints``), and opaque bytes claim nothing that a message could break.
CHECKS: dict[str, Check] = {
    "constant": constant,
    "enum": enum,
    "range": range_,
    "flags": flags,
    "length": length,
    "count": count,
    "checksum": checksum,
    "text": text,
    "padding": padding,
    "timestamp": timestamp,
}

# Their reasons are of numbers: the field's is told as one, too.
OF_NUMBERS = frozenset({"range", "length", "count", "counter"})
REASONS: dict[str, Callable[[Any], str]] = {
    "constant": lambda c: f"is not 0x{c.value.hex()}",
    "enum": lambda c: f"is none of the {len(c.values)} known values",
    "range": lambda c: f"is not between {c.minimum} and {c.maximum}",
    "flags": lambda c: f"has bits outside 0x{c.mask.hex()}",
    "length": lambda c: f"does not say the bytes of {c.target or ('the ' + c.of)}",
    "count": lambda c: f"does not say the items of {c.target}",
    "checksum": lambda c: f"is not the {c.name or c.algorithm} of its bytes",
    "text": lambda c: f"is not {c.charset} text",
    "padding": lambda c: f"is not all 0x{c.byte:02x}",
    "counter": lambda c: f"does not rise by {c.step}",
    "timestamp": lambda c: f"is no {c.form} time near that of the capture",
    "address": lambda c: f"is not the {c.form} address" + ("" if c.endpoint == "none" else f" of the {c.endpoint}"),
    "echo": lambda c: f"does not repeat {c.type}.{c.field}",
}


def sentence(leaves: Leaves, constraint: Constraint, k: int) -> str:
    """Return why the k-th leaf breaks the constraint."""
    content = leaves.content(k)
    shown = f"0x{content[:16].hex()}" + ("..." if len(content) > 16 else "")
    if constraint.kind in OF_NUMBERS and leaves.field.encoding in ("uint", "int"):
        number = leaves.numbers[k] if leaves.field.encoding == "int" else leaves.unsigned[k]
        shown = f"{int(number)} ({shown})"
    return f"{leaves.symbol.name} = {shown} {REASONS[constraint.kind](constraint)}"
