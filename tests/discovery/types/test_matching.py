"""Guard evaluation against a plain reading of what guards mean."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.spec import Guard, LengthGuard, TextGuard, TokenGuard, ValueGuard
from qbitel.discovery.types import ProposedType, TypeModel, guards_match

PRINTABLE = {9, 10, 13, *range(32, 127)}


def holds(guard: Guard, message: bytes) -> bool:
    """Evaluate one guard on one message the slow way."""
    if isinstance(guard, LengthGuard):
        return guard.minimum <= len(message) and (guard.maximum is None or len(message) <= guard.maximum)
    if isinstance(guard, TextGuard):
        return all(byte in PRINTABLE for byte in message[: guard.bytes])
    if isinstance(guard, TokenGuard):
        tokens = [t for t in re.split(b"[" + re.escape(guard.separators) + b"]", message) if t]
        if guard.index >= len(tokens):
            return False
        return (tokens[guard.index].upper() if guard.fold_case else tokens[guard.index]) in guard.values
    begin = guard.offset if guard.offset >= 0 else len(message) + guard.offset
    if begin < 0 or begin + guard.width > len(message):
        return False
    mask = guard.mask or b"\xff" * guard.width
    return bytes(b & m for b, m in zip(message[begin : begin + guard.width], mask, strict=True)) in guard.values


@st.composite
def value_guards(draw: st.DrawFn) -> ValueGuard:
    """Guards of few values at few places, so that they often hold."""
    width = draw(st.integers(1, 3))
    few = st.lists(st.sampled_from([0, 1, 0x80, 0xFF]), min_size=width, max_size=width).map(bytes)
    mask = draw(st.none() | few)
    values = draw(st.lists(few, min_size=1, max_size=3))
    if mask is not None:
        values = [bytes(b & m for b, m in zip(value, mask, strict=True)) for value in values]
    return ValueGuard(offset=draw(st.integers(-5, 5)), width=width, mask=mask, values=sorted(set(values)))


GUARDS = st.one_of(
    value_guards(),
    st.builds(LengthGuard, minimum=st.integers(0, 6), maximum=st.none() | st.integers(0, 8)),
    st.builds(TextGuard, bytes=st.integers(1, 6)),
    st.builds(
        TokenGuard,
        index=st.integers(0, 2),
        separators=st.sampled_from([b" ", b" \r\n", b" -"]),
        fold_case=st.booleans(),
        values=st.lists(st.sampled_from([b"A", b"GET", b"B1", b"a"]), min_size=1, max_size=2),
    ),
)
BINARY = st.lists(st.sampled_from([0, 1, 0x80, 0xFF, 65]), max_size=8).map(bytes)
TEXTS = st.lists(st.sampled_from([b"A", b"get", b"GET", b" ", b"-", b"\r\n", b"b1"]), max_size=6).map(b"".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(BINARY | TEXTS, max_size=12), st.lists(GUARDS, max_size=3))
def test_guards_match_agrees_with_reading_message_by_message(messages: list[bytes], guards: list[Guard]) -> None:
    """The vectorised evaluation says of every message what evaluating its guards one by one says."""
    view = MessageBatch.from_payloads(messages).view()
    expected = [all(holds(guard, message) for guard in guards) for message in messages]
    assert guards_match(guards, view).tolist() == expected


def test_guards_match_reads_rows_that_are_not_in_order() -> None:
    """Rows of a view may be taken in any order and skip bytes between them."""
    view = MessageBatch.from_payloads([b"ab", b"\x01\x02\x03", b"", b"\x01"]).view().take(np.array([3, 1, 0]))
    assert guards_match([ValueGuard(offset=0, width=1, values=[b"\x01"])], view).tolist() == [True, True, False]


def test_assign_takes_the_first_type_that_matches_and_leaves_the_rest_unknown() -> None:
    """Where several types match, the first counts; a message that none matches is -1."""
    model = TypeModel(
        [
            ProposedType("a", "", [ValueGuard(offset=0, width=1, values=[b"\x01"]), LengthGuard(minimum=2)]),
            ProposedType("b", "", [ValueGuard(offset=0, width=1, values=[b"\x01", b"\x02"])]),
        ],
        None,
    )
    assigned = model.assign(MessageBatch.from_payloads([b"\x01\x00", b"\x01", b"\x02\x00", b"\x03", b""]).view())
    assert assigned.dtype == np.int32
    assert assigned.tolist() == [0, 1, 1, -1, -1]
