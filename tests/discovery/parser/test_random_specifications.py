"""Random specifications on random messages: faces that agree, an independent reader, bounds, and the way back."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.exports import export
from qbitel.discovery.parser import Limits, ParsedBatch, Parser
from qbitel.discovery.spec import (
    Case,
    Delimited,
    Element,
    Field,
    Fixed,
    FromLength,
    Guard,
    LengthGuard,
    MessageType,
    ProtocolSpec,
    Repeat,
    Rest,
    Run,
    SelfDelimiting,
    Switch,
    TextGuard,
    Times,
    ToEnd,
    TokenGuard,
    Until,
    ValueGuard,
)  # fmt: skip
from qbitel.discovery.types.matching import first_match

BYTES = st.sampled_from([0, 0, 1, 1, 2, 3, 4, 5, 9, 0x20, 0x30, 0x41, 0x61, 0x7F, 0x80, 0x81, 0xC0, 0xFF, 0x0D, 0x0A])
MESSAGES = st.lists(
    st.one_of(st.lists(BYTES, max_size=40).map(bytes), st.binary(max_size=24), st.just(b"\1" + 20 * b"\x80")),
    min_size=1,
    max_size=30,
)
GROUPS = ("g0", "g1")
DELIMITERS = [b"\x00", b"\r\n", b"\n", b"\x01\x02", b"a"]
ENCODINGS = ["uint", "int", "bytes", "ascii", "float", "bcd", "leb128", "ber_length"]


class Names:
    """Unique names, and those of numbers that elements may depend on."""

    def __init__(self, prefix: str) -> None:
        self.prefix, self.count, self.numbers = prefix, 0, ["n0"]

    def new(self) -> str:
        """The next name."""
        self.count += 1
        return f"{self.prefix}{self.count}"


def field(draw: Any, names: Names, depth: int) -> Field:
    """A field of any width; some are regions."""
    number = draw(st.sampled_from(names.numbers))
    width = draw(
        st.one_of(
            st.builds(Fixed, size=st.integers(1, 4)),
            st.builds(Fixed, size=st.integers(1, 4)),
            st.builds(
                FromLength, field=st.just(number), scale=st.sampled_from([1, 1, 2, 4]), bias=st.integers(-3, 3),
                origin=st.sampled_from(["self", "self", "message", "length_end"]),
            ),
            st.builds(
                Delimited, include=st.booleans(), required=st.booleans(),
                delimiters=st.lists(st.sampled_from(DELIMITERS), min_size=1, max_size=3),
            ),
            st.builds(
                Run, required=st.booleans(),
                of=st.sampled_from(["space", "digit", "letter", "alnum", "printable", "zero", "ff"]),
            ),
            st.builds(SelfDelimiting, form=st.sampled_from(["ber_length", "ber_tag", "leb128", "labels"])),
            st.builds(Rest, at_most=st.none() | st.integers(1, 6)),
        )
    )  # fmt: skip
    name = names.new()
    encoding = draw(st.sampled_from(ENCODINGS))
    if isinstance(width, SelfDelimiting):
        encoding = {"labels": "bytes", "ber_tag": "uint"}.get(width.form, width.form)
    elif encoding in ("leb128", "ber_length"):
        encoding = "uint"
    if encoding in ("uint", "int", "leb128", "ber_length"):
        names.numbers.append(name)
    inner: dict[str, Any] = {}
    if depth and not isinstance(width, SelfDelimiting) and draw(st.integers(0, 3)) == 0:
        inner = holder(draw, names, depth - 1)
    endianness = draw(st.sampled_from(["big", "little", None]))
    return Field(name=name, width=width, encoding=encoding, endianness=endianness, **inner)


def holder(draw: Any, names: Names, depth: int) -> dict[str, Any]:
    """What is inside of a region, an item or a case: a group or elements."""
    if draw(st.integers(0, 3)) == 0:
        return {"group": draw(st.sampled_from(GROUPS))}
    return {"elements": layout(draw, names, depth)}


def layout(draw: Any, names: Names, depth: int, most: int = 3) -> list[Element]:
    """A few elements."""
    made: list[Element] = []
    for _ in range(draw(st.integers(1, most))):
        kind = draw(st.integers(0, 5)) if depth else 0
        if kind == 5:
            cases = [
                Case(values=draw(st.lists(st.integers(-1, 4), max_size=3)), **holder(draw, names, depth - 1))
                for _ in range(draw(st.integers(0, 2)))
            ]
            number, mask = draw(st.sampled_from(names.numbers)), draw(st.sampled_from([-1, -1, 1, 3]))
            default = layout(draw, names, depth - 1) if draw(st.booleans()) else []
            made.append(Switch(name=names.new(), field=number, mask=mask, cases=cases, default=default))
        elif kind == 4:
            stop = draw(
                st.one_of(
                    st.just(ToEnd()),
                    st.builds(Times, field=st.just(draw(st.sampled_from(names.numbers))), bias=st.integers(-1, 1)),
                    st.builds(Until, bytes=st.sampled_from([b"\x00", b"\r\n", b"\xff"])),
                )
            )
            maximum = draw(st.sampled_from([1, 2, 65536]))
            made.append(Repeat(name=names.new(), stop=stop, maximum=maximum, **holder(draw, names, depth - 1)))
        else:
            made.append(field(draw, names, depth))
    return made


def values(width: int) -> st.SearchStrategy[list[bytes]]:
    """Byte strings of one width."""
    return st.lists(st.lists(BYTES, min_size=width, max_size=width).map(bytes), min_size=1, max_size=6)


MASKS = st.sampled_from([None, b"\x0f", b"\x80"])
TOKENS = st.lists(st.sampled_from([b"A", b"a", b"AA", b"0", b"\x01\x01"]), min_size=1)
SEPARATORS = st.sampled_from([b" \r\n", b"\x00", b"\x20\x09"])
GUARDS = st.one_of(
    st.builds(ValueGuard, offset=st.integers(-2, 3), width=st.just(1), mask=MASKS, values=values(1)),
    st.builds(ValueGuard, offset=st.just(0), width=st.just(1), values=values(1)),
    st.builds(ValueGuard, offset=st.integers(-4, 2), width=st.just(2), values=values(2)),
    st.builds(LengthGuard, minimum=st.integers(0, 8), maximum=st.one_of(st.none(), st.integers(4, 30))),
    st.builds(TextGuard, bytes=st.integers(1, 8)),
    st.builds(TokenGuard, index=st.integers(0, 2), separators=SEPARATORS, fold_case=st.booleans(), values=TOKENS),
)


@st.composite
def specifications(draw: Any) -> ProtocolSpec:
    """Up to three types over two groups that may refer to each other and to themselves."""
    types = []
    for index in range(draw(st.integers(1, 3))):
        names = Names(f"t{index}f")
        head = Field(name="n0", width=Fixed(size=1), encoding="uint")
        guards: list[Guard] = draw(st.lists(GUARDS, max_size=2))
        types.append(MessageType(name=f"t{index}", guards=guards, elements=[head, *layout(draw, names, 3, 4)]))
    groups = {}
    for name in GROUPS:
        names = Names(f"{name}f")
        head = Field(name=f"{name}n", width=Fixed(size=1), encoding="uint")
        groups[name] = [head, *layout(draw, names, 2)]
    return ProtocolSpec(types=types, groups=groups)


def leaves_of_row(parsed: ParsedBatch, row: int) -> list[tuple[int, int]]:
    """Start and length of a message's leaves that have bytes."""
    span = slice(int(parsed.bounds[row]), int(parsed.bounds[row + 1]))
    pairs = zip(parsed.leaf_start[span].tolist(), parsed.leaf_length[span].tolist(), strict=True)
    return [pair for pair in pairs if pair[1]]


@given(spec=specifications(), messages=MESSAGES)
@settings(max_examples=50, deadline=None)
def test_both_faces_read_the_same_and_lose_nothing(spec: ProtocolSpec, messages: list[bytes]) -> None:
    """A message gives the same type, error and leaves alone and in a batch, and its leaves are its bytes."""
    parser = Parser(spec)
    parsed = parser.parse_batch(MessageBatch.from_payloads(messages))
    for row, message in enumerate(messages):
        tree = parser.parse(message)
        assert tree.type_name == parsed.type_name(row)
        assert tree.error == parsed.error(row)
        assert tree.error_offset == parsed.error_offset[row]
        leaves = list(tree.leaves())
        assert [(n.start, n.length) for n in leaves if n.length] == leaves_of_row(parsed, row)
        assert b"".join(node.raw for node in leaves) == message
        span = slice(int(parsed.bounds[row]), int(parsed.bounds[row + 1]))
        named = [symbol.qualified for symbol in parsed.symbols] + [".unparsed"]
        assert [n.symbol.qualified if n.name != "unparsed" else ".unparsed" for n in leaves] == [
            named[symbol] for symbol in parsed.leaf_symbol[span].tolist()
        ]
        for _, node in tree.walk():
            assert all(node.start <= child.start for child in node.children or ())


def exported(spec: ProtocolSpec, folder: Path) -> ModuleType:
    """The specification as a Python module: an independent reader of the same layouts."""
    # A name of its own: two sources of one size in one second would share what Python keeps of a compiled file.
    path = folder / f"exported_{len(list(folder.iterdir()))}.py"
    path.write_text(export(spec, "python"), encoding="utf-8")
    module_spec = importlib.util.spec_from_file_location("exported", path)
    assert module_spec is not None and module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


@given(spec=specifications(), messages=MESSAGES)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_independent_reader_agrees(spec: ProtocolSpec, messages: list[bytes], tmp_path: Path) -> None:
    """The exported Python module, which shares no code, gives the same type, leaves and error offset."""
    reader = exported(spec, tmp_path)
    parsed = Parser(spec).parse_batch(MessageBatch.from_payloads(messages))
    for row, message in enumerate(messages):
        name, leaves, malformed = reader.parse(message)
        assert parsed.type_name(row) == name
        assert leaves_of_row(parsed, row) == [(leaf.start, leaf.length) for leaf in leaves if leaf.length]
        if name != "unknown":
            assert parsed.error_offset[row] == (-1 if malformed is None else malformed.offset)


@given(spec=specifications(), messages=MESSAGES)
@settings(max_examples=40, deadline=None)
def test_guards_agree_with_the_reference(spec: ProtocolSpec, messages: list[bytes]) -> None:
    """Dispatch by table and memo picks the type that evaluating every guard picks."""
    view = MessageBatch.from_payloads(messages).view()
    expected = first_match([t.guards for t in spec.types], view)
    assert Parser(spec).parse_batch(view).type_index.tolist() == expected.tolist()


@given(spec=specifications(), messages=MESSAGES)
@settings(max_examples=40, deadline=None)
def test_trees_and_values_build_the_same_bytes(spec: ProtocolSpec, messages: list[bytes]) -> None:
    """A tree builds its message; so do its values as JSON, where numbers are written in the shortest way."""
    parser = Parser(spec)
    for message in messages:
        tree = parser.parse(message)
        assert parser.build(tree) == message
        if tree.type_name == "unknown" or not shortest(tree.leaves()):
            continue
        assert parser.build({"type": tree.type_name, "fields": tree.values(), "error": tree.error}) == message
        if not any(isinstance(node.value, float) for node in tree.leaves()):
            assert parser.build(json.loads(json.dumps(tree.to_dict()))) == message


def shortest(leaves: Any) -> bool:
    """Whether values say their bytes: no varint or number of free width is longer than need be, no NaN."""
    for node in leaves:
        encoding = node.field.encoding if node.field is not None else "bytes"
        fixed = node.field is not None and isinstance(node.field.width, Fixed)
        if node.length != 1 and not fixed and encoding in ("uint", "int", "float"):
            return False
        # A single byte that asks for more, in a field of fixed width, says less than it holds.
        if encoding in ("leb128", "ber_length") and (node.length != 1 or node.raw[0] >= 0x80):
            return False
        if encoding == "float" and isinstance(node.value, float) and node.value != node.value:
            return False
    return True


@given(spec=specifications(), messages=MESSAGES, cut=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_slices_chunks_and_nulls_give_the_same_result(spec: ProtocolSpec, messages: list[bytes], cut: int) -> None:
    """How the messages lie in memory makes no difference."""
    parser = Parser(spec)
    expected = parser.parse_batch(MessageBatch.from_payloads(messages))
    payloads: Sequence[bytes | None] = [b"before", *(message or None for message in messages)]
    halves = [pa.array(payloads[:cut], pa.large_binary()), pa.array(payloads[cut:], pa.large_binary())]
    batch = MessageBatch(pa.table({"payload": pa.chunked_array(halves)})).slice(1)
    order = np.arange(len(messages))[::-1].copy()
    for parsed in (parser.parse_batch(batch), parser.parse_batch(batch.view().take(order).take(order))):
        for name in ("type_index", "status", "error_offset", "leaf_row", "leaf_symbol", "leaf_start", "leaf_length"):
            assert np.array_equal(getattr(parsed, name), getattr(expected, name)), name
        assert parsed.to_arrow(every_type=True).equals(expected.to_arrow(every_type=True))


@given(spec=specifications(), messages=MESSAGES)
@settings(max_examples=25, deadline=None)
def test_columns_hold_the_values_of_the_trees(spec: ProtocolSpec, messages: list[bytes]) -> None:
    """Every value of a tree stands in the Arrow column of its name, in order, and the table is valid."""
    parser = Parser(spec)
    parsed = parser.parse_batch(MessageBatch.from_payloads(messages))
    table = parsed.to_arrow(every_type=True)
    table.validate(full=True)
    for row, message in enumerate(messages):
        found: dict[str, list[Any]] = {}
        for node in parser.parse(message).leaves():
            if node.name != "unparsed":
                found.setdefault(node.symbol.qualified, []).append(node)
        for name, nodes in found.items():
            value = table.column(name)[row].as_py()
            held = value if pa.types.is_large_list(table.schema.field(name).type) else [value]
            assert len(held) == len(nodes)
            for got, node in zip(held, nodes, strict=True):
                assert same_value(got, node.value), (name, got, node.value)


def same_value(got: Any, value: Any) -> bool:
    """Whether a column holds a tree's value; what Arrow cannot hold is null or replaced there."""
    if got is None:
        return isinstance(value, bytes) or (isinstance(value, int) and not -(1 << 63) <= value < 1 << 64)
    if isinstance(value, float) and isinstance(got, float):
        return value == got or (value != value and got != got)
    if isinstance(value, str) and not value.isascii():
        return "\ufffd" in got or got == value
    return bool(got == value)


@given(spec=specifications(), messages=MESSAGES)
@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize("limits", [Limits(leaves=3), Limits(depth=1), Limits(steps=5), Limits(message_bytes=4)])
def test_limits_hold(limits: Limits, spec: ProtocolSpec, messages: list[bytes]) -> None:
    """No message has more leaves than allowed (and one for the rest), and no byte is lost."""
    parsed = Parser(spec, limits).parse_batch(MessageBatch.from_payloads(messages))
    for row, message in enumerate(messages):
        assert parsed.bounds[row + 1] - parsed.bounds[row] <= limits.leaves + 1
        assert sum(length for _, length in leaves_of_row(parsed, row)) == len(message)
        if len(message) > limits.message_bytes:
            assert parsed.error(row) == "the message is longer than is read"
