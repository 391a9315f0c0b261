"""Build messages: the way back from a tree, or from values, to bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..checksums import covered, region_values
from ..errors import InputError, NotFoundError
from ..spec import Checksum, Count, Length, ProtocolSpec, checks_field
from .limits import Limits
from .pieces import Draft, Drafter, Piece
from .tree import Node, ParseTree
from .values import encode

_ROUNDS = 8  # a length may change the width of a length, and a checksum covers both


def build(spec: ProtocolSpec, source: ParseTree | Mapping[str, Any], limits: Limits, recompute: bool = False) -> bytes:
    """
    Return the bytes of a message.

    Args:
        source: a tree, whose nodes may have got other values, or a mapping with ``type`` and ``fields`` as
            ``ParseTree.to_dict`` gives it; bytes may stand for their hexadecimal digits. What of lengths, counts,
            checksums and constants is not given is computed, unless ``error`` says that the message is damaged:
            its fields end with the first that is missing.
        recompute: compute lengths, counts and checksums even where they are given.

    Raises:
        NotFoundError: the specification has no such type.
        InputError: a value is missing, unknown, of the wrong type or does not fit.
        LimitError: the message nests too deeply or has too many fields.
    """
    if isinstance(source, ParseTree):
        if not recompute:
            return b"".join(_node_bytes(node) for node in source.leaves())
        source = {"type": source.type_name, "fields": source.values(), "error": source.error}
    name, fields = source.get("type"), source.get("fields")
    message_type = spec.type_named(name) if isinstance(name, str) else None
    if message_type is None or not isinstance(fields, Mapping):
        raise NotFoundError(f"no message type {name!r}", hint="a mapping with 'type' and 'fields' is needed")
    draft = Drafter(spec, limits).message(message_type.elements, fields, message_type.name, bool(source.get("error")))
    return _settled(draft, recompute)


def _node_bytes(node: Node) -> bytes:
    if node.edited is None:
        return node.raw
    if node.field is None:
        if isinstance(node.edited, bytes):
            return node.edited
        raise InputError("expected bytes", where=node.name)
    return encode(node.field, node.edited, node.length)


def _settled(draft: Draft, recompute: bool) -> bytes:
    """Compute what is to be computed until nothing changes, checksums last."""
    message = draft.layout()
    for _ in range(_ROUNDS):
        before = message
        _compute_sizes(draft, recompute)
        message = draft.layout()
        for piece in draft.pieces:
            if recompute or not piece.given:
                message = _with_checksum(draft, piece, message)
        if message == before:
            return message
    raise InputError("lengths and checksums that depend on each other do not settle")


def _compute_sizes(draft: Draft, recompute: bool) -> None:
    """Let every length and count that is not given say what stands there."""
    open_pieces = {id(piece) for piece in draft.pieces if recompute or not piece.given}
    for number, width, target in draft.lengths:
        if id(number) in open_pieces:
            origin = {"self": target.start, "message": 0, "length_end": number.end}[width.origin]
            _set(number, target.end - origin, width.scale, width.bias)
    for number, bias, repeat in draft.counts:
        if id(number) in open_pieces:
            _set(number, repeat.items, 1, bias)
    for place, piece in enumerate(draft.pieces):
        if id(piece) in open_pieces:
            _by_constraints(draft, piece, place)


def _set(piece: Piece, amount: int, scale: int, bias: int) -> None:
    """Let a piece say an amount: ``value * scale + bias``."""
    assert piece.field is not None
    value, left = divmod(amount - bias, scale)
    if left:
        raise InputError(f"{amount} bytes are no multiple of {scale} beside {bias}", where=piece.field.name)
    piece.data = encode(piece.field, value, len(piece.data) or None)


def _by_constraints(draft: Draft, piece: Piece, place: int) -> None:
    """Let a piece say the length or count that its constraints claim."""
    for constraint in piece.field.constraints if piece.field is not None else ():
        if isinstance(constraint, Count):
            target = _following(draft, place, constraint.target)
            if target is not None and target.repeat is not None:
                _set(piece, target.items, 1, constraint.bias)
        elif isinstance(constraint, Length):
            amount = _extent(draft, piece, place, constraint)
            if amount is not None:
                _set(piece, amount, constraint.scale, constraint.bias)


def _extent(draft: Draft, piece: Piece, place: int, constraint: Length) -> int | None:
    """Return the bytes that a length speaks of, None where its target is absent."""
    if constraint.of == "message":
        return draft.pieces[-1].end
    if constraint.of == "content":
        return draft.pieces[-1].end - _checksums_of_fields(draft)
    if constraint.of == "rest":
        region = piece.parent
        while region is not None and region.repeat is not None:
            region = region.parent
        return (draft.pieces[-1].end if region is None else region.end) - piece.end
    target = _following(draft, place, constraint.target or "")
    return None if target is None else target.end - target.start


def _checksums_of_fields(draft: Draft) -> int:
    """Return the bytes of the checksums that cover a field."""
    return sum(len(piece.data) for piece in draft.pieces if piece.field is not None and checks_field(piece.field))


def _following(draft: Draft, place: int, name: str) -> Piece | None:
    """Return the next piece of that name in the same region."""
    parent = draft.pieces[place].parent
    for piece in draft.pieces[place + 1 :]:
        holder = piece.field or piece.repeat
        if holder is not None and holder.name == name and piece.parent is parent:
            return piece
    return None


def _target(draft: Draft, piece: Piece, name: str | None, size: int) -> tuple[int, int]:
    """Return first byte and size of the field of that name that stands before a piece beside it, or of the message."""
    if name is None:
        return 0, size
    for other in reversed(draft.pieces[: draft.pieces.index(piece)]):
        if other.field is not None and other.field.name == name and other.parent is piece.parent:
            return other.start, other.end - other.start
    return piece.start, 0


def _with_checksum(draft: Draft, piece: Piece, message: bytes) -> bytes:
    """Return the message with the checksum of a piece put in, where it is one."""
    checksums: Sequence[Checksum] = (
        [c for c in piece.field.constraints if isinstance(c, Checksum)] if piece.field is not None else []
    )
    if not checksums or not 1 <= len(piece.data) <= 8:
        return message
    assert piece.field is not None
    little = piece.field.endianness == "little"
    begin, size = _target(draft, piece, checksums[0].target, len(message))
    first, last = covered(checksums[0], np.array([begin], np.int64), np.array([size], np.int64))
    data, own = np.frombuffer(message, np.uint8), np.array([piece.start], np.int64)
    value = int(region_values(data, first, last, checksums[0], own, len(piece.data), little)[0])
    piece.data = value.to_bytes(len(piece.data), "little" if little else "big")
    return message[: piece.start] + piece.data + message[piece.end :]
