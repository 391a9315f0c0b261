"""The exported Python module and the dissector in a real tshark read the same leaves as the engine's own parser."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qbitel.discovery.exports import export
from qbitel.discovery.layout.kernels import BER_DEPTH
from qbitel.discovery.parser import Parser
from qbitel.discovery.spec import (
    Case,
    Delimited,
    Element,
    Field,
    Fixed,
    FromLength,
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
from qbitel.train.evaluation.dissection import Leaf, own_leaves

Reader = Callable[[str, Sequence[bytes]], list[list[Leaf]]]


def number(name: str, size: int, little: bool = False) -> Field:
    """A number of so many bytes."""
    return Field(name=name, width=Fixed(size=size), encoding="uint", endianness="little" if little else "big")


def varint(name: str) -> Field:
    """A number of seven bits a byte."""
    return Field(name=name, width=SelfDelimiting(form="leb128"), encoding="leb128")


def starting(name: str, first: bytes, *elements: Element) -> MessageType:
    """A type told by its first byte."""
    return MessageType(name=name, guards=[ValueGuard(offset=0, width=1, values=[first])], elements=list(elements))


BER = [
    Field(name="tag", width=SelfDelimiting(form="ber_tag"), encoding="uint"),
    Field(name="size", width=SelfDelimiting(form="ber_length"), encoding="ber_length"),
    Switch(
        name="content",
        field="tag",
        mask=0x20,
        cases=[
            Case(
                values=[0x20],
                elements=[
                    Field(
                        name="inner",
                        width=FromLength(field="size"),
                        elements=[Repeat(name="items", stop=ToEnd(), group="ber")],
                    )
                ],
            )
        ],
        default=[Field(name="primitive", width=FromLength(field="size"))],
    ),
]

KEYED = [
    varint("keytag"),
    Switch(
        name="by_tag",
        field="keytag",
        cases=[
            Case(
                values=[10, 1602],
                elements=[
                    varint("length"),
                    Field(
                        name="message",
                        width=FromLength(field="length"),
                        elements=[Repeat(name="values", stop=ToEnd(), group="keyed")],
                    ),
                ],
            )
        ],
        default=[
            Switch(
                name="by_wire_type",
                field="keytag",
                mask=7,
                cases=[
                    Case(values=[0], elements=[varint("varint")]),
                    Case(values=[1], elements=[number("double", 8, little=True)]),
                    Case(
                        values=[2],
                        elements=[
                            varint("size2"),
                            Field(name="octets", width=FromLength(field="size2")),
                        ],
                    ),
                    Case(values=[5], elements=[number("single", 4, little=True)]),
                ],
            )
        ],
    ),
]

SPEC = ProtocolSpec(
    protocol="demo",
    groups={"ber": BER, "keyed": KEYED},
    types=[
        starting(
            "tlv",
            b"\x01",
            number("key", 1),
            number("size", 2, little=True),
            Field(
                name="body",
                width=FromLength(field="size", bias=-1),
                elements=[
                    Repeat(
                        name="entries",
                        stop=ToEnd(),
                        elements=[
                            number("tag", 1),
                            number("len", 1),
                            Field(name="value", width=FromLength(field="len")),
                        ],
                    )
                ],
            ),
            number("crc", 2),
        ),
        starting(
            "names",
            b"\x02",
            number("key", 1),
            number("n", 1),
            Repeat(
                name="questions",
                stop=Times(field="n"),
                elements=[Field(name="name", width=SelfDelimiting(form="labels")), number("kind", 2)],
            ),
            Field(name="rest", width=Rest()),
            number("tail", 1),
        ),
        starting(
            "whole",
            b"\x03",
            number("key", 1),
            number("total", 1),
            Field(name="data", width=FromLength(field="total", origin="message")),
            Field(name="pad", width=Run(of="zero")),
            Repeat(name="more", stop=ToEnd(), maximum=1, elements=[number("extra", 3)]),
        ),
        starting(
            "varints",
            b"\x04",
            number("key", 1),
            varint("amount"),
            Field(name="data", width=FromLength(field="amount", scale=2, origin="length_end")),
            Repeat(name="records", stop=Until(bytes=b"\xff"), elements=[number("record", 2)]),
        ),
        starting(
            "blocks",
            b"\x05",
            number("key", 1),
            Repeat(
                name="blocks",
                stop=ToEnd(),
                elements=[Field(name="block", width=Rest(at_most=4)), number("check", 2)],
            ),
            number("end", 1),
        ),
        starting("keyed", b"\x06", number("key", 1), Repeat(name="all", stop=ToEnd(), group="keyed")),
        MessageType(
            name="ber",
            guards=[ValueGuard(offset=0, width=1, mask=b"\xe0", values=[b"\x20", b"\x60", b"\xa0"])],
            elements=[Repeat(name="items", stop=ToEnd(), group="ber")],
        ),
        MessageType(
            name="get",
            guards=[TextGuard(bytes=8), TokenGuard(values=[b"GET", b"PUT"], fold_case=True)],
            elements=[
                Field(name="verb", width=Delimited(delimiters=[b" "]), encoding="ascii"),
                Field(name="gap", width=Run(of="space")),
                Repeat(
                    name="lines",
                    stop=Until(bytes=b"\r\n"),
                    elements=[Field(name="line", width=Delimited(delimiters=[b"\r\n", b"\n"], include=True))],
                ),
            ],
        ),
    ],
)


def nested(levels: int) -> bytes:
    """An element inside so many others (X.690)."""
    message = b"\x02\x01\x05"
    for _ in range(levels):
        size = bytes([len(message)]) if len(message) < 128 else bytes([0x81, len(message)])
        message = b"\x30" + size + message
    return message


DEEPEST = 40
CHOSEN = [
    b"\x01\x08\x00\x05\x02ab\x06\x01c\xde\xad",
    b"\x01\x00\x00\xde\xad",
    b"\x01\x20\x00abc",
    b"\x02\x02\x03www\x00\x00\x01\x01a\xc0\x0c\x00\x02xyz!",
    b"\x02\x09\x01a\x00",
    b"\x03\x05abc\x00\x00\x01\x02\x03",
    b"\x03\x00abc",
    b"\x04\x01ab\x01\x02\xff\x01",
    b"\x04\x81\x80",
    b"\x05abcd\x01\x02efgh\x03\x04ij\x05\x06\xff",
    b"\x05abcd\x01\x02\x03",
    b"\x05abcd\x01\x02\x03\xff",
    bytes.fromhex("06 08ac02 120161 0a04 1a00 2803 820c03 200104 1d00000041 11 0102030405060708"),
    bytes.fromhex("06 0a06 0a04 0a02 0801 80808080808080808001 01"),
    bytes.fromhex("06 0a05 0801 120161"),
    b"GET  /x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"put x\nno end",
    bytes.fromhex("30090201050404deadbeef"),
    bytes.fromhex("3003020205"),
    bytes.fromhex("30800000"),
    nested(DEEPEST),
    nested(DEEPEST + 10),
    b"\x20" * 90,
    b"\xff\xfe",
    b"\x01",
]


def test_nesting_is_read_down_to_forty_elements_inside_each_other() -> None:
    """The innermost of 41 elements is a leaf, and what is deeper is damage: layouts are searched down to there."""
    deepest, deeper = own_leaves(SPEC, [nested(DEEPEST), nested(DEEPEST + 10)])
    parser = Parser(SPEC)
    assert len(deepest) == 2 * DEEPEST + 3 and DEEPEST == BER_DEPTH
    tree = parser.parse(nested(DEEPEST))
    assert tree.ok and parser.build({"type": tree.type_name, "fields": tree.values()}) == nested(DEEPEST)
    assert parser.parse(nested(DEEPEST + 10)).error == "nested too deeply at inner"
    assert len(deeper) < 2 * (DEEPEST + 10) + 3


def test_python_module_reads_what_the_parser_reads(in_python: Reader) -> None:
    """Every width, repeat and switch gives the same leaves in the exported module, damaged messages included."""
    assert in_python(export(SPEC, "python"), CHOSEN) == own_leaves(SPEC, CHOSEN)


def test_dissector_reads_what_the_parser_reads(in_tshark: Reader) -> None:
    """Every width, repeat and switch gives the same leaves in a real tshark, damaged messages included."""
    expected = [sorted(leaves) for leaves in own_leaves(SPEC, CHOSEN)]
    assert in_tshark(export(SPEC, "wireshark"), CHOSEN) == expected


MUTATIONS = st.lists(
    st.tuples(st.sampled_from(CHOSEN), st.binary(max_size=24), st.integers(0, 30)).map(
        lambda parts: (parts[0][: parts[2]] + parts[1] + parts[0][parts[2] :]) or b"\x01"
    ),
    min_size=60,
    max_size=60,
)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=MUTATIONS)
@pytest.mark.parametrize("form", ["python", "wireshark"])
def test_readers_agree_on_mutated_messages(form: str, messages: list[bytes], request: pytest.FixtureRequest) -> None:
    """On messages cut, spliced and stuffed at random, all three readers still give the same leaves."""
    read: Reader = request.getfixturevalue("in_python" if form == "python" else "in_tshark")
    assert read(export(SPEC, form), messages) == [sorted(leaves) for leaves in own_leaves(SPEC, messages)]
