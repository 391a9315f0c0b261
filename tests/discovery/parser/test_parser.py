"""The parser by example: DNS against dnspython, trees, tables, hostile input, and messages that are built."""

from __future__ import annotations

import json
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import dns.message
import dns.rrset
import numpy as np
import pytest

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.errors import InputError, LimitError, NotFoundError, SpecError
from qbitel.discovery.parser import Limits, Parser, ParserGenerator
from qbitel.discovery.parser.program import compile_program
from qbitel.discovery.spec import (
    Case,
    Checksum,
    Constant,
    Count,
    Delimited,
    Element,
    Field,
    Fixed,
    FromLength,
    Length,
    MessageType,
    ProtocolSpec,
    Repeat,
    Rest,
    SelfDelimiting,
    Switch,
    Times,
    ToEnd,
    ValueGuard,
)


def number(name: str, size: int, *constraints: object) -> Field:
    """A big-endian number."""
    return Field.model_validate(
        {"name": name, "width": Fixed(size=size), "encoding": "uint", "endianness": "big", "constraints": constraints}
    )


NAME = Field(name="name", width=SelfDelimiting(form="labels"))
RECORD: list[Element] = [
    NAME, number("type", 2), number("class", 2), number("ttl", 4), number("size", 2),
    Field(name="data", width=FromLength(field="size")),
]  # fmt: skip
DNS = ProtocolSpec(
    groups={"record": RECORD},
    types=[
        MessageType(
            name="message",
            elements=[
                *(number(name, 2) for name in ("id", "flags", "questions_n", "answers_n", "authorities_n", "more_n")),
                Repeat(
                    name="questions",
                    stop=Times(field="questions_n"),
                    elements=[NAME, number("type", 2), number("class", 2)],
                ),
                Repeat(name="answers", stop=Times(field="answers_n"), group="record"),
                Repeat(name="authorities", stop=Times(field="authorities_n"), group="record"),
                Repeat(name="more", stop=Times(field="more_n"), group="record"),
            ],
        )
    ],
)
CRC = Checksum(algorithm="crc", end=-4, poly=0x04C11DB7, init=0xFFFFFFFF, refin=True, refout=True, xorout=0xFFFFFFFF)
TLV = ProtocolSpec(
    types=[
        MessageType(
            name="report",
            guards=[ValueGuard(offset=0, width=1, values=[b"\x07"])],
            elements=[
                number("key", 1, Constant(value=b"\x07")),
                number("total", 2, Length(of="message")),
                number("n", 1, Count(target="entries")),
                Repeat(
                    name="entries",
                    stop=Times(field="n"),
                    elements=[number("tag", 1), number("len", 1), Field(name="value", width=FromLength(field="len"))],
                ),
                Field(name="rest", width=Rest(), encoding="utf8"),
                number("crc", 4, CRC),
            ],
        )
    ]
)


def report(entries: list[tuple[int, bytes]], rest: bytes = b"") -> bytes:
    """A message of TLV."""
    body = b"".join(bytes([tag, len(value)]) + value for tag, value in entries) + rest
    head = b"\x07" + struct.pack(">HB", len(body) + 8, len(entries)) + body
    return head + struct.pack(">I", zlib.crc32(head))


def test_dns_reads_as_dnspython_reads_it() -> None:
    """Ids, names and record data of a compressed response are those of a real implementation."""
    query = dns.message.make_query("www.example.org.", "A", use_edns=False)
    response = dns.message.make_response(query)
    response.answer.append(dns.rrset.from_text("www.example.org.", 60, "IN", "CNAME", "example.org."))
    response.answer.append(dns.rrset.from_text("example.org.", 300, "IN", "A", "192.0.2.1", "192.0.2.2"))
    wire = response.to_wire()
    fields = Parser(DNS).parse(wire).values()
    assert fields["id"] == response.id and fields["answers_n"] == 3 == len(fields["answers"])
    assert fields["questions"][0]["name"] == b"\x03www\x07example\x03org\x00"
    assert [answer["ttl"] for answer in fields["answers"]] == [60, 300, 300]
    assert sorted(answer["data"] for answer in fields["answers"][1:]) == [b"\xc0\0\2\1", b"\xc0\0\2\2"]
    table = Parser(DNS).parse_batch(MessageBatch.from_payloads([query.to_wire(), wire])).to_arrow()
    assert table.column("@record.ttl").to_pylist() == [[], [60, 300, 300]]
    assert table.column("message.id").to_pylist() == [query.id, response.id]


def test_a_tree_knows_places_values_and_paths() -> None:
    """Nodes carry byte ranges; items are numbered; a path leads to a node; JSON holds it all."""
    message = report([(1, b"ab"), (2, b"")], "né".encode())
    tree = ParserGenerator().generate(TLV).parse(message)
    assert tree.ok and tree.type_name == "report"
    node = tree.find("entries[1].tag")
    assert node is not None and (node.start, node.length, node.value) == (8, 1, 2)
    assert tree.find("entries[2].tag") is None
    inner = [(depth, n.name) for depth, n in tree.walk()][3:7]
    assert inner == [(0, "entries[0]"), (1, "tag"), (1, "len"), (1, "value")]
    document = json.loads(json.dumps(tree.to_dict()))
    assert document["fields"]["entries"] == [{"tag": 1, "len": 2, "value": "6162"}, {"tag": 2, "len": 0, "value": ""}]
    assert document["fields"]["rest"] == "né" and document["error"] is None


def test_a_damaged_message_keeps_what_was_read() -> None:
    """The leaves before the damage stay; the rest is one unparsed leaf; the error names field and byte."""
    tree = Parser(TLV).parse(report([(1, b"ab"), (2, b"c")])[:13])
    assert (tree.error, tree.error_offset) == ("len does not fit", 9)
    assert [n.raw for n in tree.leaves()][3:] == [b"\1", b"\2", b"ab", b"\2", tree.message[9:]]
    tree = Parser(TLV).parse(report([(1, b"ab")])[:7])
    assert (tree.error, tree.error_offset) == ("tag does not fit", 4)
    assert [n.name for n in tree.leaves()] == ["key", "total", "n", "unparsed"]
    unknown = Parser(TLV).parse(b"\x09abc")
    assert (unknown.type_name, unknown.error) == ("unknown", "the message matches no type")


def test_boundaries_are_inner_starts_of_leaves_with_bytes() -> None:
    """Empty leaves and the start of the message are no boundaries; the flat form agrees with that of a row."""
    messages = [report([(1, b"ab"), (2, b"")]), b"", report([])]
    parsed = Parser(TLV).parse_batch(MessageBatch.from_payloads(messages))
    assert parsed.boundaries(0).tolist() == [1, 3, 4, 5, 6, 8, 9, 10]
    offsets, values = parsed.boundaries_flat()
    for row in range(3):
        assert values[offsets[row] : offsets[row + 1]].tolist() == parsed.boundaries(row).tolist()
    assert parsed.explained.tolist() == [True, False, True]


def test_a_type_without_layout_is_one_leaf() -> None:
    """It fits every message; its bytes are a payload."""
    parser = Parser(ProtocolSpec(types=[MessageType(name="any")]))
    parsed = parser.parse_batch(MessageBatch.from_payloads([b"abc", b""]))
    assert parsed.explained.all()
    assert [parsed.symbols[s].qualified for s in parsed.leaf_symbol.tolist()] == ["any.payload"]


def test_build_computes_what_is_not_given() -> None:
    """Constants, lengths, counts and checksums follow from the rest."""
    parser = Parser(TLV)
    entries = [{"tag": 1, "value": b"ab"}, {"tag": 2, "value": "63"}]
    built = parser.build({"type": "report", "fields": {"entries": entries, "rest": "end"}})
    assert built == report([(1, b"ab"), (2, b"c")], b"end")
    assert parser.parse(built).ok


def test_build_writes_edited_nodes_and_recomputes_on_demand() -> None:
    """An edited value changes its own bytes; with ``recompute`` lengths and checksum follow."""
    parser = Parser(TLV)
    tree = parser.parse(report([(1, b"ab")], b"x"))
    node = tree.find("entries[0].value")
    assert node is not None
    node.value = b"abcd"
    edited = parser.build(tree)
    assert edited == tree.message[:6] + b"abcd" + tree.message[8:]
    assert parser.build(tree, recompute=True) == report([(1, b"abcd")], b"x")


@pytest.mark.parametrize(
    ("source", "error", "text"),
    [
        ({"type": "nothing", "fields": {}}, NotFoundError, "nothing"),
        ({"type": "report", "fields": {"entrys": []}}, InputError, "entrys"),
        ({"type": "report", "fields": {"key": 256}}, InputError, "key"),
        ({"type": "report", "fields": {"entries": [{"tag": "zz"}]}}, InputError, "tag"),
        ({"type": "report", "fields": {"entries": 5}}, InputError, "entries"),
        ({"type": "report", "fields": {"rest": 1.5}}, InputError, "rest"),
    ],
)
def test_build_refuses_what_does_not_fit(source: dict[str, object], error: type[Exception], text: str) -> None:
    """A value that is unknown, of the wrong type or too large is named."""
    with pytest.raises(error, match=text):
        Parser(TLV).build(source)


def test_specifications_that_refer_to_nothing_are_refused() -> None:
    """A missing group and a missing field are named when the parser is made."""
    with pytest.raises(SpecError, match="no group 'gone'"):
        Parser(ProtocolSpec(types=[MessageType(name="t", elements=[Repeat(name="r", stop=ToEnd(), group="gone")])]))
    with pytest.raises(SpecError, match="no field 'gone'"):
        Parser(ProtocolSpec(types=[MessageType(name="t", elements=[Field(name="a", width=FromLength(field="gone"))])]))


def test_no_name_enters_the_program() -> None:
    """A program is numbers: changing every name leaves it as it is."""
    text = re.sub(r'"(name|field|target)":"([a-z]+)"', r'"\1":"\2__import__"', TLV.model_dump_json())
    renamed = ProtocolSpec.model_validate_json(text)
    assert renamed != TLV
    assert np.array_equal(compile_program(renamed).table, compile_program(TLV).table)
    assert compile_program(TLV).table.dtype == np.int64


def test_numbers_of_every_size_and_sign_pick_their_case() -> None:
    """Switches see 64-bit values as they are: negative, above 2**63, masked."""

    def picked(encoding: str, values: list[int], data: bytes, mask: int = -1) -> bool:
        head = Field.model_validate({"name": "n", "width": Fixed(size=8), "encoding": encoding, "endianness": "big"})
        case = Case(values=values, elements=[Field(name="hit", width=Rest())])
        switch = Switch(name="s", field="n", mask=mask, cases=[case], default=[Field(name="miss", width=Rest())])
        spec = ProtocolSpec(types=[MessageType(name="t", elements=[head, switch])])
        return Parser(spec).parse(data + b"!").find("hit") is not None

    ones = b"\xff" * 8
    assert picked("uint", [2**64 - 1], ones) and not picked("uint", [-1], ones)
    assert picked("int", [-1], ones) and not picked("int", [2**64 - 1], ones)
    assert picked("uint", [0x7F], ones, mask=0x7F) and picked("uint", [2**63], b"\x80" + bytes(7))
    assert picked("int", [-(2**63)], b"\x80" + bytes(7)) and not picked("uint", [5], ones)


def test_hostile_layouts_end_in_bounded_work() -> None:
    """Endless recursion, huge counts of nothing and items that read nothing end with an error."""
    count = number("n", 2)
    nothing = Repeat(name="r", stop=Times(field="n"), elements=[Switch(name="s", field="n", cases=[])])
    nested = Repeat(name="outer", stop=Times(field="n"), elements=[nothing])
    spec = ProtocolSpec(types=[MessageType(name="t", elements=[count, nested])])
    assert Parser(spec).parse(b"\xff\xff").error == "too many steps"
    loop = ProtocolSpec(
        groups={"g": [Repeat(name="again", stop=ToEnd(), group="g")]},
        types=[MessageType(name="t", elements=[Repeat(name="r", stop=ToEnd(), group="g")])],
    )
    assert Parser(loop).parse(b"abc").error == "nested too deeply at again"
    empty = Repeat(name="r", stop=ToEnd(), elements=[Field(name="e", width=Delimited(delimiters=[b"a"]))])
    assert Parser(ProtocolSpec(types=[MessageType(name="t", elements=[empty])])).parse(b"abc").error == (
        "an item of r reads nothing"
    )
    many = Repeat(name="r", stop=ToEnd(), elements=[number("b", 1)])
    parsed = Parser(ProtocolSpec(types=[MessageType(name="t", elements=[many])]), Limits(leaves=1000)).parse_batch(
        MessageBatch.from_payloads([bytes(5000), b"ab"])
    )
    assert [parsed.error(0), parsed.error(1)] == ["too many fields", None]
    assert np.bincount(parsed.leaf_row).tolist() == [1001, 2]


def test_elements_written_too_deep_are_refused() -> None:
    """A specification that nests without end is refused when the parser is made."""
    elements: list[Element] = [Field(name="leaf", width=Rest())]
    for level in range(70):
        elements = [Field(name=f"f{level}", width=Rest(), elements=elements)]
    with pytest.raises(LimitError, match="deep"):
        Parser(ProtocolSpec(types=[MessageType(name="t", elements=elements)]))


def test_one_parser_serves_many_threads() -> None:
    """Threads that share a parser get the trees that one alone gets."""
    parser = Parser(TLV)
    messages = [report([(1, bytes([i % 256]) * (i % 9))], b"r" * (i % 5)) for i in range(400)]
    expected = [parser.parse(message).to_dict() for message in messages]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda message: parser.parse(message).to_dict(), messages)) == expected


def test_many_types_are_told_apart_by_a_table() -> None:
    """Two hundred types with two-byte keys each get their own messages, and others none."""
    types = [
        MessageType(name=f"t{key}", guards=[ValueGuard(offset=1, width=2, values=[struct.pack(">H", 300 * key)])])
        for key in range(200)
    ]
    messages = [b"\0" + struct.pack(">H", 300 * key) + b"x" for key in range(200)] + [b"\0\0\1", b"\0\0"]
    parsed = Parser(ProtocolSpec(types=types)).parse_batch(MessageBatch.from_payloads(messages))
    assert parsed.type_index.tolist() == [*range(200), -1, -1]


def test_text_and_decimals_stand_in_columns_as_text() -> None:
    """Text that is no UTF-8 is replaced, UTF-16 decoded, packed decimals are digits."""
    elements = [
        Field(name="a", width=Fixed(size=2), encoding="utf8"),
        Field(name="b", width=Fixed(size=4), encoding="utf16", endianness="little"),
        Field(name="c", width=Fixed(size=2), encoding="bcd"),
        Field(name="d", width=Fixed(size=4), encoding="float", endianness="big"),
        Field(name="e", width=Fixed(size=3), encoding="int", endianness="little"),
    ]
    spec = ProtocolSpec(types=[MessageType(name="t", elements=elements)])
    messages = [
        b"ok" + "hé".encode("utf-16-le") + b"\x12\x34" + struct.pack(">f", 1.5) + b"\xfe\xff\xff",
        b"\xff!" + "zz".encode("utf-16-le") + b"\x00\x99" + struct.pack(">f", -2.0) + b"\x01\x00\x00",
    ]
    table = Parser(spec).parse_batch(MessageBatch.from_payloads(messages)).to_arrow()
    assert [table.column(f"t.{name}").to_pylist() for name in "abcde"] == [
        ["ok", "\ufffd!"], ["hé", "zz"], ["1234", "0099"], [1.5, -2.0], [-2, 1],
    ]  # fmt: skip
    assert str(table.schema.field("t.e").type) == "int32"


def test_columns_of_absent_types_come_on_demand() -> None:
    """Without them a table has the types that occur; with ``every_type`` each batch has the same schema."""
    kinds = [
        MessageType(name=key, guards=[ValueGuard(offset=0, width=1, values=[key.encode()])], elements=[number("k", 1)])
        for key in ("a", "b")
    ]
    parser = Parser(ProtocolSpec(types=kinds))
    some = parser.parse_batch(MessageBatch.from_payloads([b"a"]))
    assert some.to_arrow().column_names[4:] == ["a.k"]
    empty = parser.parse_batch(MessageBatch.from_payloads([]))
    assert empty.to_arrow(every_type=True).schema == some.to_arrow(every_type=True).schema
    assert some.to_arrow(every_type=True).column("b.k").to_pylist() == [None]
