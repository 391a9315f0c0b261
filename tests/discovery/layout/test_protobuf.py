"""Values behind varint keys, in the manner of protocol buffers, are found and read back field by field."""

from __future__ import annotations

import struct

import numpy as np

from qbitel.discovery.parser import Parser
from qbitel.discovery.spec import Field

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon zeta", "eta", "theta iota kappa"]
VARINT, FIXED64, COUNTED, FIXED32 = 0, 1, 2, 5
Fields = list[bytes]


def varint(value: int) -> bytes:
    """Return seven bits a byte, the lowest first."""
    octets = []
    while value > 127:
        octets.append(value & 127 | 128)
        value >>= 7
    return bytes([*octets, value])


def keyed(number: int, wire: int, value: Fields) -> Fields:
    """Return a key and the fields of its value, behind their length where the wire type says so."""
    length = [varint(sum(map(len, value)))] if wire == COUNTED else []
    return [varint(number << 3 | wire), *length, *value]


def text(rng: np.random.Generator) -> bytes:
    """Return some words."""
    return str(rng.choice(WORDS)).encode()


def person(rng: np.random.Generator) -> Fields:
    """Return a name, perhaps an age, and a list of telephones with a name and a place."""
    fields = keyed(1, COUNTED, [text(rng)])
    if rng.random() < 0.7:
        fields += keyed(2, VARINT, [varint(int(rng.integers(1, 1 << 20)))])
    for _ in range(int(rng.integers(0, 3))):
        place = keyed(1, FIXED64, [struct.pack("<d", rng.normal())])
        place += keyed(2, COUNTED, [text(rng)])
        inner = keyed(1, COUNTED, [text(rng)]) + keyed(2, VARINT, [varint(int(rng.integers(3)))])
        fields += keyed(4, COUNTED, inner + keyed(17, COUNTED, place))
    return fields


def message(rng: np.random.Generator) -> Fields:
    """Return a number, people, and values of the other wire types."""
    fields = keyed(1, VARINT, [varint(int(rng.integers(1, 400)))])
    for _ in range(int(rng.integers(1, 3))):
        fields += keyed(3, COUNTED, person(rng))
    if rng.random() < 0.5:
        fields += keyed(7, FIXED32, [struct.pack("<f", rng.normal())])
    return fields + keyed(200, COUNTED, [part for part in [rng.bytes(int(rng.integers(0, 9)))] if part])


def test_messages_in_messages_are_read_by_their_keys(lay_out):
    """Every wire type and every message in a message is found, with a field of its own for each key."""
    rng = np.random.default_rng(1)
    made = [[rng.bytes(2), *message(rng)] for _ in range(150)]
    outcome = lay_out(made, hints=True)
    assert outcome.exact == outcome.explained == 1
    names = {field.name for field in outcome.fields}
    assert {"field_1", "message_3", "field_3_1", "field_3_2", "message_3_4", "field_3_4_17_1", "field_7"} <= names
    widths = {field.name: field.encoding for field in outcome.fields}
    assert widths["field_1"] == "leb128" and widths["field_3_1"] == "bytes"
    parser = Parser(outcome.spec)
    for fields in made[:20]:
        tree = parser.parse(b"".join(fields))
        assert parser.build({"type": tree.type_name, "fields": tree.values()}) == b"".join(fields)


def test_keys_that_few_messages_have_are_read_by_their_wire_type(lay_out):
    """A number that was hardly seen has no field of its own, and what is behind it is read all the same."""
    rng = np.random.default_rng(2)
    made = [message(rng) for _ in range(120)]
    made += [[*message(rng), *keyed(90 + k, VARINT, [varint(1000 + k)]), *message(rng)] for k in range(3)]
    outcome = lay_out(made, hints=True)
    assert outcome.exact == outcome.explained == 1
    assert not any(field.name.startswith("field_9") for field in outcome.fields)


def test_a_message_that_is_one_value_is_known_by_what_is_in_it(lay_out):
    """A single counted value to the end says little; the messages in it say that it is one."""
    rng = np.random.default_rng(3)
    outcome = lay_out([keyed(2, COUNTED, message(rng) * 3) for _ in range(120)], hints=True)
    assert outcome.exact == outcome.explained == 1


def test_long_varints_speak_for_keys_where_all_messages_are_divided_alike(lay_out):
    """Of messages that differ in one string's length only, bytes that always say that more follow are the evidence."""
    rng = np.random.default_rng(6)

    def alike(number: int) -> Fields:
        fields = keyed(1, VARINT, [varint(1000 + 3 * number)])
        fields += keyed(2, VARINT, [varint(1_700_000_000_000 + 700 * number)])
        return [*fields, *keyed(3, COUNTED, [b"abcdefg"[: 5 + number % 3]]), *keyed(5, FIXED32, [rng.bytes(4)])]

    outcome = lay_out([alike(number) for number in range(120)], hints=True)
    assert outcome.exact == outcome.explained == 1
    assert {"field_1", "field_2", "field_3", "field_5"} <= {field.name for field in outcome.fields}


def test_a_length_of_one_or_two_bytes_counts_the_rest(lay_out):
    """A length in as many bytes as it needs is one field, whatever its width."""
    rng = np.random.default_rng(4)

    def counted(*, long: bool) -> Fields:
        body = rng.bytes(int(rng.integers(128, 600) if long else rng.integers(1, 128)))
        return [bytes([int(rng.integers(1, 4))]), varint(len(body)), body]

    outcome = lay_out([counted(long=k % 3 == 0) for k in range(120)], hints=True)
    assert outcome.explained == 1 and outcome.exact > 0.95
    length = next(field for field in outcome.fields if field.semantic == "length")
    assert length.encoding == "leb128"


def test_random_bytes_and_text_hold_no_keyed_values(lay_out):
    """Neither noise, nor small numbers, nor words are taken for keys, although one key may stand before them."""
    rng = np.random.default_rng(5)
    for make in (
        lambda: rng.bytes(int(rng.integers(4, 24))),
        lambda: bytes(rng.integers(0, 40, int(rng.integers(4, 24))).astype(np.uint8)),
        lambda: b"\x08\x01" + rng.bytes(int(rng.integers(4, 24))),
        lambda: b"\x0a" + text(rng) + text(rng),
    ):
        outcome = lay_out([[make()] for _ in range(200)])
        assert not any(_is_varint(field) for field in outcome.fields)


def _is_varint(field: Field) -> bool:
    return field.encoding == "leb128"
