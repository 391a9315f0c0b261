"""Strings inside binary messages are found whole, whatever ends or counts them, and what follows them too."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.layout.runs import BIG, BYTES, LITTLE, ZEROS, runs_of
from qbitel.discovery.layout.table import Table
from qbitel.discovery.orchestrator import ProtocolDiscoveryOrchestrator
from qbitel.discovery.spec import Delimited, Field, Fixed, FromLength, walk

PEOPLE = "alice bob carol dave erin frank grace heidi ivan judy mallory olivia peggy rupert sybil trent".split()  # noqa: SIM905


def name(rng: Random) -> bytes:
    """Return a name of one or two words."""
    return "-".join(rng.choices(PEOPLE, k=rng.randint(1, 2))).encode()


def wide(text: bytes) -> bytes:
    """Return ASCII text in UTF-16, low byte first."""
    return text.decode().encode("utf-16-le")


def front(rng: Random) -> list[bytes]:
    """Return an identifier and a kind."""
    return [rng.randbytes(2), bytes([rng.randint(1, 3)])]


def ended(rng: Random) -> list[bytes]:
    """Return a string that a zero ends, and fields of fixed width."""
    return [*front(rng), name(rng) + b"\0", rng.randbytes(4)]


def lines(rng: Random) -> list[bytes]:
    """Return a line of text before bytes."""
    return [b"\x01", *front(rng), name(rng) + b"\r\n", b"\xff" + rng.randbytes(3)]


def counted(rng: Random) -> list[bytes]:
    """Return a string behind its length."""
    text = name(rng)
    return [*front(rng), len(text).to_bytes(2, "little"), text, b"\x80" + rng.randbytes(3)]


def wide_ended(rng: Random) -> list[bytes]:
    """Return UTF-16 that a zero character ends."""
    return [*front(rng), wide(name(rng)) + b"\0\0", b"\x80" + rng.randbytes(3)]


def wide_counted(rng: Random) -> list[bytes]:
    """Return UTF-16 behind the number of its characters."""
    text = name(rng)
    return [*front(rng), len(text).to_bytes(4, "little"), wide(text), b"\x80" + rng.randbytes(3)]


WIDTHS = {
    ended: Delimited(delimiters=[b"\0"], include=True),
    lines: Delimited(delimiters=[b"\r\n"], include=True),
    counted: FromLength(field="length", scale=1),
    wide_ended: Delimited(delimiters=[b"\0\0\0"], include=True),
    wide_counted: FromLength(field="length", scale=2),
}


@pytest.mark.parametrize("speak", WIDTHS, ids=lambda speak: speak.__name__)
def test_strings(lay_out, speak):
    """A string is one field of the right width, and every message parses, without any hint of boundaries."""
    rng = Random(4)
    outcome = lay_out([speak(rng) for _ in range(120)])
    widths = [field.width for field in outcome.fields]
    widths = [
        width.model_copy(update={"field": "length"}) if isinstance(width, FromLength) else width for width in widths
    ]
    assert WIDTHS[speak] in widths
    assert outcome.explained == 1


def test_a_length_explains_more_than_the_zero_behind_it(lay_out):
    """Where a length says how long a string is, the zero that happens to follow is not taken for its end."""
    rng = Random(5)

    def message() -> list[bytes]:
        text = name(rng)
        return [b"\x90\x91", bytes([len(text)]), text, rng.randrange(200).to_bytes(4, "big"), rng.randbytes(2)]

    outcome = lay_out([message() for _ in range(120)], hints=True)
    assert any(isinstance(field.width, FromLength) for field in outcome.fields)
    assert outcome.exact > 0.9


def test_padded_text_is_one_field():
    """Text and zeros up to a fixed width are one field, though the next one starts with zeros as well."""
    rng = Random(6)
    messages = [
        b"\x5a" + rng.randbytes(2) + name(rng).ljust(16, b"\0") + rng.randrange(9000).to_bytes(4, "big")
        for _ in range(100)
    ]
    spec = ProtocolDiscoveryOrchestrator().discover(MessageBatch.from_payloads(messages)).spec
    fields = [e for t in spec.types for e in walk(t.elements) if isinstance(e, Field) and e.encoding == "ascii"]
    assert fields
    assert {field.width for field in fields if isinstance(field.width, Fixed) and field.width.size > 4} == {
        Fixed(size=16)
    }


def test_no_strings_in_noise(lay_out):
    """Random bytes and small numbers hold no strings."""
    rng = Random(8)
    outcome = lay_out([[rng.randbytes(rng.randint(20, 40))] for _ in range(100)])
    assert all(isinstance(field.width, Fixed) or field.semantic != "text" for field in outcome.fields)


def test_runs():
    """Runs are counted from each byte: characters of one byte, of two with either order, and zeros."""
    data = np.frombuffer(b"\x01ab\0\0h\0i\0\0", np.uint8)
    place = np.zeros(1, np.int64)
    table = Table(data, None, place, place, place, place + len(data), np.zeros(1, np.bool_))
    runs = runs_of(table, len(data))[:, 0]
    assert runs[BYTES].tolist() == [0, 2, 1, 0, 0, 1, 0, 1, 0, 0]
    assert runs[LITTLE].tolist() == [0, 0, 1, 0, 0, 2, 0, 1, 0, 0]
    assert runs[BIG].tolist() == [0, 0, 0, 0, 2, 0, 1, 0, 0, 0]
    assert runs[ZEROS].tolist() == [0, 0, 0, 2, 1, 0, 1, 0, 2, 1]
