"""Every family of structures is found in made-up messages, and read back field by field."""

from __future__ import annotations

import numpy as np

from qbitel.discovery.spec import Fixed, FromLength, SelfDelimiting, Times, ToEnd

WORDS = b"alpha beta gamma delta epsilon zeta eta theta iota kappa lambda omicron upsilon".split()


def header(rng: np.random.Generator) -> list[bytes]:
    """Return a fixed front: two bytes that never change, a random id of two, one small number."""
    return [b"\xca\xfe", rng.bytes(2), bytes([int(rng.integers(1, 4))])]


def word(rng: np.random.Generator) -> bytes:
    """Return one of some words of different lengths."""
    return WORDS[int(rng.integers(len(WORDS)))]


def test_fixed_columns(lay_out):
    """Messages of one length get the boundaries that their probabilities show."""
    rng = np.random.default_rng(1)
    outcome = lay_out([[*header(rng), rng.bytes(4), rng.bytes(8)] for _ in range(60)], hints=True)
    assert outcome.exact == outcome.explained == 1
    assert [field.width for field in outcome.fields] == [Fixed(size=size) for size in (2, 2, 1, 4, 8)]


def test_tag_length_value(lay_out):
    """A sequence of tag, length, value after a fixed front is one repeat, and every field is found."""
    rng = np.random.default_rng(2)

    def message() -> list[bytes]:
        fields = header(rng)
        for _ in range(int(rng.integers(1, 6))):
            value = rng.bytes(int(rng.integers(1, 12)))
            fields += [bytes([int(rng.integers(1, 6))]), bytes([len(value)]), value]
        return fields

    outcome = lay_out([message() for _ in range(120)], hints=True)
    assert outcome.explained == 1
    assert outcome.exact > 0.95
    assert any(isinstance(field.width, FromLength) for field in outcome.fields)


def test_nested_tag_length_value(lay_out):
    """Values that hold tag, length, value again are laid out inside a switch on the outer tag."""
    rng = np.random.default_rng(3)

    def inner() -> list[bytes]:
        fields: list[bytes] = []
        for _ in range(int(rng.integers(2, 5))):
            value = rng.bytes(int(rng.integers(1, 6)))
            fields += [bytes([int(rng.integers(0x40, 0x44))]), bytes([len(value)]), value]
        return fields

    def message() -> list[bytes]:
        fields = header(rng)
        for _ in range(int(rng.integers(1, 5))):
            value = inner() if rng.random() < 0.5 else [rng.bytes(int(rng.integers(2, 9)))]
            tag = 0xA1 if len(value) > 1 else 0x02
            fields += [bytes([tag]), bytes([sum(map(len, value))]), *value]
        return fields

    outcome = lay_out([message() for _ in range(200)], hints=True)
    assert outcome.explained > 0.97
    assert outcome.exact > 0.9


def test_items_that_hold_items_of_their_form_are_one_group(lay_out):
    """However deep they nest, one recursive group reads them, and all tags of it."""
    rng = np.random.default_rng(13)

    def item(depth: int) -> list[bytes]:
        if depth and rng.random() < 0.5:
            parts = [part for _ in range(int(rng.integers(1, 4))) for part in item(depth - 1)]
            return [bytes([0x80 + int(rng.integers(3))]), sum(map(len, parts)).to_bytes(2, "big"), *parts]
        value = rng.bytes(int(rng.integers(1, 9)))
        return [bytes([int(rng.integers(1, 6))]), len(value).to_bytes(2, "big"), value]

    outcome = lay_out([[b"\xbe\xef", *item(6), *item(6), *item(6)] for _ in range(300)], hints=True)
    assert outcome.explained == outcome.exact == 1
    assert [repeat.group for repeat in outcome.repeats] == ["nested"] == list(outcome.layouts.groups)


def test_records_that_include_their_head(lay_out):
    """Little-endian lengths of whole records, head included, are found without any boundary probabilities."""
    rng = np.random.default_rng(4)

    def message() -> list[bytes]:
        fields: list[bytes] = []
        for _ in range(int(rng.integers(1, 5))):
            body = rng.bytes(int(rng.integers(1, 30)))
            fields += [b"\x01", (len(body) + 3).to_bytes(2, "little"), body]
        return fields

    outcome = lay_out([message() for _ in range(100)])
    assert outcome.explained == 1
    assert outcome.exact > 0.9


def test_a_chain_that_begins_with_a_string_is_a_chain(lay_out):
    """What speaks for a counted string speaks for the items that begin with it, though few divisions were seen."""
    rng = np.random.default_rng(21)
    rates = [b"\x82\x84\x8b\x96", b"\x82\x84\x8b\x96\x0c\x12"]

    def message() -> list[bytes]:
        fields = header(rng)
        for tag, value in ((0, word(rng)), (1, rates[int(rng.integers(2))]), (3, rng.bytes(1)), (5, rng.bytes(4))):
            fields += [bytes([tag]), bytes([len(value)]), value]
        return fields

    outcome = lay_out([message() for _ in range(150)], hints=True)
    assert outcome.exact == outcome.explained == 1
    assert any(isinstance(repeat.stop, ToEnd) for repeat in outcome.repeats)


def test_ber(lay_out):
    """Nested BER is read by one recursive group."""
    rng = np.random.default_rng(5)

    def element(depth: int) -> list[bytes]:
        if depth and rng.random() < 0.6:
            parts = [part for _ in range(int(rng.integers(1, 4))) for part in element(depth - 1)]
            return [b"\x30", bytes([sum(map(len, parts))]), *parts]
        value = rng.bytes(int(rng.integers(1, 6)))
        return [bytes([int(rng.choice([2, 4, 10]))]), bytes([len(value)]), value]

    outcome = lay_out([[*header(rng), *element(3)] for _ in range(150)], hints=True)
    assert "ber" in outcome.layouts.groups
    assert outcome.exact == outcome.explained == 1
    named = [field.name for field in outcome.fields if field.name in ("integer", "octets", "enumerated", "utf8_string")]
    assert sorted(named) == ["enumerated", "integer", "octets"]  # a field for the values of each tag


def test_length_prefixed_strings(lay_out):
    """Two strings behind their lengths and a fixed field behind them are found, whatever their lengths."""
    rng = np.random.default_rng(6)

    def message() -> list[bytes]:
        one, two = word(rng), word(rng) + word(rng)
        return [*header(rng), bytes([len(one)]), one, len(two).to_bytes(2, "big"), two, rng.bytes(4)]

    outcome = lay_out([message() for _ in range(150)], hints=True)
    assert outcome.explained == 1
    assert outcome.exact > 0.95


def test_parts_that_are_counted_in_ways_of_their_own(lay_out):
    """Parts behind lengths of one and two bytes, with fixed bytes between, are found by where they end together."""
    rng = np.random.default_rng(21)

    def message(whole: bool) -> list[bytes]:
        session = rng.bytes(32 * int(rng.integers(2)))
        suites, more = rng.bytes(2 * int(rng.integers(2, 20))), rng.bytes(int(rng.integers(3, 900)))
        head = [b"\x03\x03", rng.bytes(8), bytes([len(session)]), session, len(suites).to_bytes(2, "big"), suites]
        way = rng.bytes(int(rng.integers(1, 3)))
        return [*head, bytes([len(way)]), way, *([len(more).to_bytes(2, "big"), more] if whole else [])]

    outcome = lay_out([message(number % 10 > 0) for number in range(150)])
    lengths = [field.name for field in outcome.fields if field.semantic == "length"]
    assert outcome.explained == 1 and len(lengths) == 4
    assert any(repeat.maximum == 1 for repeat in outcome.repeats)


def test_lengths_apart_from_their_fields(lay_out):
    """Lengths that stand together in the front find the parts they measure."""
    rng = np.random.default_rng(7)

    def message() -> list[bytes]:
        one, two = rng.bytes(int(rng.integers(3, 20))), rng.bytes(int(rng.integers(3, 20)))
        return [b"\xca\xfe", bytes([len(one)]), b"\x00\x07", one, two, rng.bytes(2)[:0] or b"\x99\x98"]

    outcome = lay_out([message() for _ in range(150)], hints=True)
    assert outcome.explained == 1
    assert any(isinstance(field.width, FromLength) for field in outcome.fields)


def test_counted_records(lay_out):
    """A count of records of one size becomes a repeat of so many items."""
    rng = np.random.default_rng(8)

    def message() -> list[bytes]:
        fields, count = header(rng), int(rng.integers(1, 7))
        fields.append(bytes([count]))
        for _ in range(count):
            fields += [b"\x00" + rng.bytes(1), rng.bytes(4)]
        return fields

    outcome = lay_out([message() for _ in range(100)], hints=True)
    assert any(isinstance(repeat.stop, Times) for repeat in outcome.repeats)
    assert outcome.exact == outcome.explained == 1


def test_names_and_counted_questions(lay_out):
    """Names of labels are read to their end, in counted questions and in the records behind them."""
    rng = np.random.default_rng(9)

    def name() -> bytes:
        return b"".join(bytes([len(w)]) + w for w in (word(rng) for _ in range(int(rng.integers(1, 4))))) + b"\0"

    def message() -> list[bytes]:
        asked, answered = int(rng.integers(1, 4)), int(rng.integers(0, 3))
        fields = [rng.bytes(2), asked.to_bytes(2, "big"), answered.to_bytes(2, "big")]
        for _ in range(asked):
            fields += [name(), b"\x00\x01", b"\x00\x01"]
        for _ in range(answered):
            data = rng.bytes(int(rng.choice([4, 16])))
            fields += [name(), b"\x00\x01", b"\x00\x01", b"\x00\x00" + rng.bytes(2), len(data).to_bytes(2, "big"), data]
        return fields

    outcome = lay_out([message() for _ in range(200)], hints=True)
    assert any(field.width == SelfDelimiting(form="labels") for field in outcome.fields)
    assert outcome.explained > 0.97
    assert outcome.exact > 0.9


def test_numbers_are_no_names(lay_out):
    """A one, a zero byte and a counter's zeros read as labels too, but names hold no control characters."""
    rng = np.random.default_rng(12)

    def message() -> list[bytes]:
        value = rng.bytes(int(rng.integers(20, 200)))
        return [b"\x17", b"\xfe\xff", b"\x00\x01", b"\0\0\0\0" + rng.bytes(2), len(value).to_bytes(2, "big"), value]

    outcome = lay_out([message() for _ in range(200)], hints=True)
    assert not any(field.width == SelfDelimiting(form="labels") for field in outcome.fields)
    assert outcome.explained == 1


def test_switch_inside_a_type(lay_out):
    """Where one byte decides what follows, the layout branches on it."""
    rng = np.random.default_rng(10)

    def message() -> list[bytes]:
        kind = int(rng.integers(1, 4))
        body = {1: [rng.bytes(4), rng.bytes(4)], 2: [rng.bytes(1), rng.bytes(2), rng.bytes(6)], 3: [rng.bytes(12)]}
        return [b"\xca\xfe", bytes([kind]), *body[kind]]

    outcome = lay_out([message() for _ in range(150)], hints=True)
    assert outcome.exact == outcome.explained == 1
