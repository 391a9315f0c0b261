"""Structures against simpler layouts: what says more about the messages is built."""

from __future__ import annotations

import numpy as np

from qbitel.discovery.spec import FromLength


def test_whole_words_are_no_records(lay_out):
    """Messages padded to whole words keep their columns: one length in four is no evidence of records."""
    rng = np.random.default_rng(1)

    def message() -> list[bytes]:
        front = [bytes([int(rng.integers(1, 5))]), b"\x00", rng.bytes(2), b"\x00\x00\x00\x01", rng.bytes(16)]
        return front + [rng.bytes(8)] * bool(rng.integers(2)) + [rng.bytes(16)] * bool(rng.integers(2))

    outcome = lay_out([message() for _ in range(120)], hints=True)
    assert not [repeat for repeat in outcome.repeats if repeat.name.startswith("records")]
    assert outcome.explained == 1


def test_numbers_in_words_are_records(lay_out):
    """Words of four bytes whose first byte is mostly zero are numbers, whatever the boundaries look like."""
    rng = np.random.default_rng(2)
    messages = [
        [int(rng.integers(1 << 20)).to_bytes(4, "big") for _ in range(int(rng.integers(4, 14)))] for _ in range(120)
    ]
    outcome = lay_out(messages)
    assert outcome.exact == outcome.explained == 1


def test_a_counted_value_holds_items(lay_out):
    """A value of its own length that is nothing but tagged items is divided into them."""
    rng = np.random.default_rng(3)

    def message() -> list[bytes]:
        items = []
        for _ in range(int(rng.integers(2, 6))):
            value = rng.bytes(int(rng.integers(1, 9)))
            items += [bytes([int(rng.integers(0x40, 0x44))]), bytes([len(value)]), value]
        size = sum(map(len, items))
        return [rng.bytes(2), size.to_bytes(2, "big"), *items, rng.bytes(int(rng.integers(3, 40)))]

    outcome = lay_out([message() for _ in range(160)], hints=True)
    outer = [field for field in outcome.fields if isinstance(field.width, FromLength) and field.elements]
    assert outer
    assert outcome.exact > 0.9
