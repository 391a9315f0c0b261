"""A value that few messages have is in no specification, and a hashed one is in none at all."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.errors import InputError
from qbitel.discovery.exports import FORMATS, export
from qbitel.discovery.orchestrator import ProtocolDiscoveryOrchestrator
from qbitel.discovery.privacy import HashKey, Privacy
from qbitel.discovery.spec import ProtocolSpec
from qbitel.discovery.statistics import MessageStatistics
from qbitel.evidence_text import claim_lines

RARE, COMMON, TYPE = b"\xde\xad\xbe\xef", b"\xca\xfe\xf0\x0d", b"\x77\x66"
KEY = HashKey(b"k" * 32)


def messages(rare: int) -> MessageBatch:
    """Return messages with a site's code, one of them in few; and a type that is as rare."""
    rng = random.Random(1)
    codes = [b"\xca\xfe\xf0\x0d", b"\xca\xfe\xf0\x0e", b"\xca\xfe\xf0\x0f"]
    made = []
    for number in range(400):
        code = RARE if number % 100 == 7 and number // 100 < rare else codes[number % 3]
        kind = TYPE if number % 100 == 9 and number // 100 < rare else bytes([0, 1 + number % 2])
        body = rng.randbytes(rng.randint(4, 20))
        made.append(b"\x51\x42" + kind + len(body).to_bytes(2, "big") + code + body)
    return MessageBatch.from_payloads(made)


def found(privacy: Privacy, rare: int = 3) -> ProtocolSpec:
    """Return the specification of these messages."""
    spec = ProtocolDiscoveryOrchestrator(privacy=privacy).discover(messages(rare)).spec
    assert not spec.partial
    return spec


def shown(spec: ProtocolSpec) -> str:
    """Return everything that is told of a specification."""
    lines = [line for claim in spec.evidence for line in claim_lines(spec, claim)]
    exports = [export(spec, name) for name in FORMATS]
    return "\n".join([spec.to_bytes().decode(), *lines, *exports]).lower()


def test_rare_values_are_not_shown() -> None:
    """Document, evidence and every export lack a value and a type that three messages have, and keep the others'."""
    open_to_all = shown(found(Privacy()))
    assert RARE.hex() in open_to_all
    veiled = shown(found(Privacy(support=4)))
    assert RARE.hex() not in veiled
    assert TYPE.hex() not in veiled
    assert "0001" in veiled


def test_values_that_enough_messages_have_are_shown() -> None:
    """A value is shown from the stated number of messages on."""
    assert RARE.hex() in shown(found(Privacy(support=3)))


def test_veiled_specification_still_parses() -> None:
    """What is left is a whole specification: it has an id, a grammar, and reads the messages of its types."""
    spec = found(Privacy(support=4, key=KEY))
    assert spec.id
    assert spec.grammar.rules
    assert spec.measures.explained >= 390


def test_hashed_values_are_named_by_their_hashes() -> None:
    """No value of a field is in it; each that enough messages have is named by its hash under the tenant's key."""
    veiled = shown(found(Privacy(support=4, key=KEY)))
    assert RARE.hex() not in veiled
    assert COMMON.hex() not in veiled
    assert f"#{KEY.hash(COMMON)}" in veiled
    assert f"#{KEY.hash(RARE)}" not in veiled


@given(st.binary(max_size=20), st.binary(max_size=20), st.binary(min_size=16, max_size=32))
def test_equal_values_have_equal_hashes(one: bytes, other: bytes, secret: bytes) -> None:
    """Under one key, and under no other."""
    key = HashKey(secret)
    assert (key.hash(one) == key.hash(other)) == (one == other)
    assert key.hash(one) != HashKey(secret + b"x").hash(one)


def test_key_is_not_printed_and_not_short() -> None:
    """The key is in no representation that a log could take."""
    assert "6b6b" not in repr(KEY)
    assert "kkk" not in repr(Privacy(key=KEY))
    with pytest.raises(InputError, match="at least 16"):
        HashKey(b"short")


def test_examples_are_messages_that_enough_have() -> None:
    """A payload is shown whole where it occurred often enough, and never where values are hashed."""
    statistics = MessageStatistics()
    statistics.update(MessageBatch.from_payloads([b"often"] * 3 + [b"once"]))
    sample = statistics.sample()
    rows = Privacy(support=3).examples(sample)
    assert [sample.view.payload(row) for row in rows] == [b"often"]
    assert Privacy(key=KEY).examples(sample) == []
