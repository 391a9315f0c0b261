"""The rivals of claims: what else the same bytes could be, counted on a few messages, for claims that show none yet."""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .batch import MessageView
from .parser import ParsedBatch, Parser
from .relations.timestamp import FORMS, no_clock, usual_distance
from .sample import Sample
from .semantics.judge import UNSEEN
from .spec import (
    Checksum,
    Constant,
    Counter,
    Echo,
    Enum,
    Evidence,
    Flags,
    Length,
    MessageRef,
    Padding,
    ProtocolSpec,
    Range,
    Rival,
    Text,
    Timestamp,
    is_little,
)
from .validator.constraints import CHECKS
from .validator.flows import counter
from .validator.values import Leaves

MESSAGES = 256
"""Messages that rivals are counted on: the first of the sample that were proposed on."""
IN_FLOWS = 1024
"""Messages of the sampled flows that the rivals of counters are counted on."""
MOST = 3
_CHECKSUM = "a checksum of its message"
_SCALE = 1 << 20  # sums of integers do not depend on their order
_CRC = {
    2: (("CRC-16/ARC", 0x8005, 0, True), ("CRC-16/XMODEM", 0x1021, 0, False)),
    4: (("CRC-32", 0x04C11DB7, 0, True),),
}
_Named = tuple[str, Any]
_Others = Callable[[Leaves, Any], Iterator[_Named]]


def with_rivals(spec: ProtocolSpec, sample: Sample, parser: Parser) -> ProtocolSpec:
    """
    Return the specification with rivals for each claim about a field, a type or a structure that has none.

    A constraint is set against others of its kind (neighbouring biases, other units, algorithms, character sets), a
    boundary against the cut one byte to either side, a type against the keys that lost. ``parser`` is the
    specification's.
    """
    rows = np.flatnonzero(~sample.held_out)[:MESSAGES]
    if not len(rows) or not spec.evidence:
        return spec
    found = {**dict(_of_types(spec)), **_of_fields(spec, sample, rows, parser)}
    lacking = {claim: rivals for claim, rivals in found.items() if not spec.evidence[claim].rivals and rivals}
    told = {claim: spec.evidence[claim].model_copy(update={"rivals": rivals}) for claim, rivals in lacking.items()}
    return spec.model_copy(update={"evidence": {**spec.evidence, **told}})


def _of_fields(spec: ProtocolSpec, sample: Sample, rows: NDArray[np.int64], parser: Parser) -> dict[str, list[Rival]]:
    found: dict[str, list[Rival]] = {}
    for leaves, owner in _columns(parser.parse_batch(sample.view.take(rows))):
        found.update(_of_constraints(leaves, owner, spec, sample.capture_hashes, _OTHERS))
        found.update(_of_cut(leaves, owner, spec))
        claim = f"field:{owner}"
        if claim in spec.evidence and spec.evidence[claim].detector == "identifier":
            found[claim] = [_as_checksum(leaves, sample.capture_hashes), *found.get(claim, [])]
    if any(claim.startswith("counter:") for claim in spec.evidence):
        for leaves, owner in _columns(parser.parse_batch(sample.flows.view.take(slice(0, IN_FLOWS)))):
            found.update(_of_constraints(leaves, owner, spec, sample.capture_hashes, _IN_FLOWS))
    return found


def _columns(parsed: ParsedBatch) -> Iterator[tuple[Leaves, str]]:
    """Yield the leaves of each field that occurs, with its owner and name."""
    for index, symbol in enumerate(parsed.symbols):
        members = parsed.leaves_of(index)
        if symbol.field is not None and len(members):
            yield Leaves(parsed, symbol, symbol.field, members), f"{symbol.type or symbol.group}.{symbol.name}"


def _of_types(spec: ProtocolSpec) -> Iterator[tuple[str, list[Rival]]]:
    """Yield what was weighed in place of each type's guards, of each structure, and of what no message has."""
    key = spec.evidence.get("key:protocol", Evidence(detector=""))
    for claim, evidence in spec.evidence.items():
        if claim.startswith("type:") and key.rivals:
            yield claim, [r.model_copy(update={"claim": f"types by {r.claim}"}) for r in key.rivals[:MOST]]
        elif claim.startswith("type:"):
            one = Rival(claim="all messages are of this type", reason="its guards hold in these only")
            yield claim, [one.model_copy(update={"support": evidence.support, "trials": evidence.trials})]
        elif claim.startswith("layout:") and evidence.bits_saved:
            reason = f"takes {evidence.bits_saved:.1f} bits more"
            yield claim, [Rival(claim="the same bytes without structure", reason=reason)]
        elif evidence.untestable == UNSEEN:
            yield claim, [Rival(claim="any other meaning", reason=UNSEEN, undecided=True)]


# Constraints


def _of_constraints(
    leaves: Leaves, owner: str, spec: ProtocolSpec, captures: tuple[str, ...], kinds: dict[str, _Others]
) -> Iterator[tuple[str, list[Rival]]]:
    for constraint in leaves.field.constraints:
        claim = f"{constraint.kind}:{owner}"
        if claim in spec.evidence and not spec.evidence[claim].rivals and constraint.kind in kinds:
            others = kinds[constraint.kind](leaves, constraint)
            weighed = [_weighed(name, other, leaves, captures) for name, other in others]
            yield claim, sorted((r for r in weighed if r is not None), key=lambda r: (-r.support, r.claim))[:MOST]


def _weighed(name: str, other: Any, leaves: Leaves, captures: tuple[str, ...]) -> Rival | None:
    """Count a rival: a constraint to check, or which leaves hold it."""
    if isinstance(other, np.ndarray):
        holds = other
    elif isinstance(other, Counter):
        holds = counter([(leaves, other)], leaves.parsed.view)[0]
    else:
        checked = CHECKS[other.kind](leaves, other)
        if checked is None:
            return None
        holds = checked
    broken = leaves.rows[~holds]
    counts = {"support": int(np.count_nonzero(holds)), "trials": len(leaves)}
    if len(broken):
        by = _reference(leaves.parsed.view, int(broken[0]), captures)
        return Rival(claim=name, reason="refuted", refuted_by=by, **counts)
    if isinstance(other, Text):
        return Rival(claim=name, reason="holds as well, and says less", **counts)
    if isinstance(other, Timestamp) and _farther(leaves, other):
        return Rival(claim=name, reason="lies farther from the clock of the capture", **counts)
    return Rival(claim=name, reason="not told apart by these messages", undecided=True, **counts)


def _farther(leaves: Leaves, other: Timestamp) -> bool:
    """Return whether times read in another form usually lie farther from the capture's than in the field's own."""
    ts = leaves.parsed.view.ts[leaves.rows]
    own = next(c.form for c in leaves.field.constraints if isinstance(c, Timestamp))
    width = int(leaves.lengths[0])
    forms = [form for name in (own, other.form) for form in FORMS if (form.name, form.width) == (name, width)]
    known = ~no_clock(ts) & (leaves.unsigned != 0)
    if len(forms) < 2 or not known.any():
        return False
    near, far = (usual_distance(leaves.unsigned[known], ts[known], form) for form in forms)
    return near < far


def _as_checksum(leaves: Leaves, captures: tuple[str, ...]) -> Rival:
    """Weigh that an identifier is a checksum of its message: refuted where it differs and nothing else does."""
    view = leaves.parsed.view
    seen: dict[bytes, bytes] = {}
    for k, row in enumerate(leaves.rows.tolist()):
        message, start, value = view.payload(row), int(leaves.starts[k]), leaves.content(k)
        if seen.setdefault(message[:start] + message[start + len(value) :], value) != value:
            reason = "refuted: it differs where nothing else does"
            return Rival(claim=_CHECKSUM, reason=reason, refuted_by=_reference(view, row, captures))
    return Rival(claim=_CHECKSUM, reason="not told apart by these messages", undecided=True)


def _reference(view: MessageView, row: int, captures: tuple[str, ...]) -> MessageRef:
    source = int(view.source[row])
    return MessageRef.at(captures[source] if 0 <= source < len(captures) else "", int(view.number[row]))


def _commonest(leaves: Leaves) -> bytes:
    counts = Counted(leaves.contents[:64])
    return max(sorted(counts), key=counts.__getitem__)


def _shown(leaves: Leaves, value: bytes) -> str:
    """Return the first bytes of a value, those of a number as it is read."""
    return f"0x{(value[::-1] if is_little(leaves.field) else value)[:8].hex()}"


def _constant(leaves: Leaves, constraint: Constant) -> Iterator[_Named]:
    """The constant goes on in the byte behind it."""
    data, view = leaves.parsed.view.data, leaves.parsed.view
    inside = leaves.starts + leaves.lengths < view.lengths[leaves.rows]
    if not inside.any():
        yield "another value", np.zeros(len(leaves), np.bool_)
        return
    behind = data[np.where(inside, leaves.at + leaves.lengths, 0)]
    usual = int(np.bincount(behind[inside], minlength=256).argmax())
    yield f"the byte behind it is 0x{usual:02x} too", inside & (behind == usual)


def _one_value(leaves: Leaves, constraint: Enum | Range) -> Iterator[_Named]:
    usual = _commonest(leaves)
    yield f"always {_shown(leaves, usual)}", Constant(value=usual)
    if isinstance(constraint, Enum) and len(constraint.values) > 1:
        seen = Counted(leaves.contents)
        rarest = min(sorted(seen), key=seen.__getitem__)
        left = [value for value in constraint.values if value != rarest]
        yield f"not {_shown(leaves, rarest)} among its values", Enum(values=left)


def _flags(leaves: Leaves, constraint: Flags) -> Iterator[_Named]:
    """The mask without one of its bits."""
    mask, size = int.from_bytes(constraint.mask, "big"), len(constraint.mask)
    for bit in [b for b in range(8 * size) if mask >> b & 1][:MOST]:
        less = (mask & ~(1 << bit)).to_bytes(size, "big")
        yield f"bits 0x{less.hex()}", Flags(mask=less)


def _length(leaves: Leaves, constraint: Length) -> Iterator[_Named]:
    for bias in (constraint.bias - 1, constraint.bias + 1):
        yield f"{bias:+d} in place of {constraint.bias:+d}", constraint.model_copy(update={"bias": bias})
    for of in ("message", "rest"):
        if of != constraint.of:
            yield f"the bytes of the {of}", Length(of=of, scale=constraint.scale, bias=0)


def _count(leaves: Leaves, constraint: Any) -> Iterator[_Named]:
    for bias in (constraint.bias - 1, constraint.bias + 1):
        yield f"{bias:+d} in place of {constraint.bias:+d}", constraint.model_copy(update={"bias": bias})
    yield "the bytes of the rest", Length(of="rest")


def _checksum(leaves: Leaves, constraint: Checksum) -> Iterator[_Named]:
    """Other algorithms over the region, and the same one over the region without its first byte."""
    region = {name: getattr(constraint, name) for name in ("start", "end", "own_bytes", "target")}
    width = int(leaves.lengths[0])
    for algorithm in ("sum", "xor", *(("internet", "fletcher") if width == 2 else ())):
        if algorithm != constraint.algorithm:
            yield algorithm, Checksum.model_validate({"algorithm": algorithm, **region})
    for name, poly, init, reflected in _CRC.get(width, ()):
        if constraint.algorithm != "crc" or poly != constraint.poly:
            same = {"poly": poly, "init": init, "refin": reflected, "refout": reflected, "name": name}
            yield name, Checksum.model_validate({"algorithm": "crc", **same, **region})
    yield "one byte less of its region", constraint.model_copy(update={"start": constraint.start + 1})


def _timestamp(leaves: Leaves, constraint: Timestamp) -> Iterator[_Named]:
    width = int(leaves.lengths[0])
    for form in FORMS:
        if form.width == width and form.name != constraint.form:
            yield form.name, Timestamp.model_validate({"form": form.name})


def _text(leaves: Leaves, constraint: Text) -> Iterator[_Named]:
    for charset in ("ascii", "utf-8", "utf-16le"):
        if charset != constraint.charset:
            yield charset, constraint.model_copy(update={"charset": charset})


def _padding(leaves: Leaves, constraint: Padding) -> Iterator[_Named]:
    for byte in (0x00, 0x20, 0xFF):
        if byte != constraint.byte:
            yield f"all 0x{byte:02x}", Padding(byte=byte)


def _counter(leaves: Leaves, constraint: Counter) -> Iterator[_Named]:
    other = not constraint.per_direction
    yield (
        ("each direction on its own" if other else "both directions together"),
        constraint.model_copy(update={"per_direction": other}),
    )
    for step in dict.fromkeys((1, 2 * constraint.step)):
        if step != constraint.step:
            yield f"{step:+d} each message", constraint.model_copy(update={"step": step})


def _echo(leaves: Leaves, constraint: Echo) -> Iterator[_Named]:
    usual = _commonest(leaves)
    yield f"always {_shown(leaves, usual)}", Constant(value=usual)


def _opaque(leaves: Leaves, constraint: object) -> Iterator[_Named]:
    yield "ascii text", Text(charset="ascii")
    yield "all 0x00", Padding(byte=0)


_OTHERS: dict[str, _Others] = {
    "constant": _constant, "enum": _one_value, "range": _one_value, "flags": _flags, "length": _length,
    "count": _count, "checksum": _checksum, "timestamp": _timestamp, "text": _text, "padding": _padding,
    "echo": _echo, "opaque": _opaque, "address": _opaque,
}  # fmt: skip
_IN_FLOWS: dict[str, _Others] = {"counter": _counter}


# Boundaries


def _of_cut(leaves: Leaves, owner: str, spec: ProtocolSpec) -> Iterator[tuple[str, list[Rival]]]:
    """Yield what speaks for the field's end against the cut one byte to either side: what the bytes beside it share."""
    claim = f"field:{owner}"
    if claim not in spec.evidence or spec.evidence[claim].rivals:
        return
    end = leaves.starts + leaves.lengths
    here = _shared(leaves, end)
    if here is None:
        yield claim, [Rival(claim="an end elsewhere", reason="it ends with its message, or no message shows more")]
        return
    rivals = []
    for way, at in (("one byte earlier", end - 1), ("one byte later", end + 1)):
        there = _shared(leaves, at)
        if there is not None:
            reason = f"would part bytes that share {there[0]:.2f} bits, this cut parts {here[0]:.2f}"
            rivals.append(Rival(claim=f"an end {way}", reason=f"{reason}, in {there[1]} messages"))
    yield claim, rivals


def _shared(leaves: Leaves, cut: NDArray[np.int64]) -> tuple[float, int] | None:
    """Return the bits that the bytes on both sides of a cut tell of each other, and in how many messages."""
    view = leaves.parsed.view
    rows = leaves.rows
    inside = (cut > 0) & (cut < view.lengths[rows])
    if np.count_nonzero(inside) < 8:
        return None
    at = view.starts[rows[inside]] + cut[inside]
    scaled = _scaled(MESSAGES if len(at) <= MESSAGES else len(at))
    bits = np.log2(len(at)) - int(_excess(view.data, at, scaled)) / (_SCALE * len(at))
    return round(float(bits) * 256) / 256 + 0.0, len(at)


@lru_cache(maxsize=8)
def _scaled(most: int) -> NDArray[np.int64]:
    """Return c log2 c for the counts up to ``most``, as whole numbers."""
    counts = np.arange(most + 1, dtype=np.float64)
    scaled: NDArray[np.int64] = np.rint(counts * np.log2(np.maximum(counts, 1.0)) * _SCALE).astype(np.int64)
    return scaled


@njit(cache=True, nogil=True)
def _excess(data, at, scaled):  # type: ignore[no-untyped-def]
    """Return the sum of c log2 c over the bytes before, and over those behind, less that over pairs; whole numbers."""
    pairs = np.zeros((256, 256), np.int32)
    before, behind = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for place in at:
        before[data[place - 1]] += 1
        behind[data[place]] += 1
        pairs[data[place - 1], data[place]] += 1
    total = np.int64(0)
    for value in range(256):
        total += scaled[before[value]] + scaled[behind[value]]
    for place in at:
        total -= scaled[pairs[data[place - 1], data[place]]]
        pairs[data[place - 1], data[place]] = 0
    return total
