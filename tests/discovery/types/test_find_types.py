"""Message types of made-up protocols whose true types are known."""

from __future__ import annotations

import random
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.sample import Sample
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.spec import Evidence, MessageType, ProtocolSpec, ValueGuard
from qbitel.discovery.statistics import StatisticalAnalyzer
from qbitel.discovery.types import TypeModel, find_types

SETTINGS = DiscoverySettings()


def sample_of(payloads: list[bytes], settings: DiscoverySettings = SETTINGS) -> Sample:
    """Return the sample of these messages."""
    return StatisticalAnalyzer(settings).analyze(MessageBatch.from_payloads(payloads)).sample()


def keyed(n: int, seed: int, prefix: bytes = b"\x5a\x01") -> list[bytes]:
    """Messages of a constant, a transaction number, a key of four values that decides the layout, and a body."""
    draw = random.Random(seed)
    bodies = {
        1: lambda: b"\x00\x00" + draw.randbytes(6),
        2: lambda: b"name" + b"".join(draw.choice([b"alpha", b"omega", b"delta"]) for _ in range(3)),
        3: lambda: draw.randbytes(2) + b"\x00" * 8 + draw.randbytes(2),
        4: lambda: b"\xff\xff\xff\xff" + draw.randbytes(12),
    }
    messages = []
    for _ in range(n):
        key = draw.choice(list(bodies))
        messages.append(prefix + bytes([key]) + draw.randbytes(2) + bodies[key]())
    return messages


def groups(model: TypeModel, payloads: list[bytes]) -> dict[int, set[int]]:
    """Return the true keys (byte 2) in each type found."""
    found = defaultdict(set)
    for index, payload in zip(model.assign(MessageBatch.from_payloads(payloads).view()), payloads, strict=True):
        found[int(index)].add(payload[2])
    return found


def test_a_key_that_decides_the_layout_is_found() -> None:
    """Each type holds messages of one key value only, and the key is the byte that decides."""
    payloads = keyed(300, 1)
    model = find_types(sample_of(payloads), SETTINGS)
    assert model.key is not None and (model.key.offset, model.key.width) == (2, 1)
    assert all(len(keys) == 1 for keys in groups(model, payloads).values())


def test_a_nested_key_divides_the_type_it_belongs_to() -> None:
    """A sub-function byte that decides the layout under one key value makes types of its own, named after both."""
    draw = random.Random(2)
    payloads = []
    for _ in range(300):
        sub = draw.choice([0x11, 0x12])
        body = b"\x00" * 12 if sub == 0x11 else b"measurement!"
        payloads += [b"\x01" + bytes([sub]) + body + draw.randbytes(8), b"\x02\x00" + draw.randbytes(4)]
    names = {proposed.name for proposed in find_types(sample_of(payloads), SETTINGS).types}
    assert names & {"t01_11", "t11"} and names & {"t01_12", "t12"}


def test_a_length_field_is_no_key() -> None:
    """A byte that counts the message is passed over for the one that tells the types apart."""
    payloads = [bytes([len(m)]) + m for m in keyed(300, 3, prefix=b"\x5a")]
    model = find_types(sample_of(payloads), SETTINGS)
    assert model.key is not None and model.key.offset == 2
    rivals = {rival.claim: rival.reason for rival in model.evidence["key:protocol"].rivals}
    assert "length" in rivals.get("the byte at offset 0", "length")


def test_a_kind_beside_a_length_is_a_key_although_one_kind_is_most_of_the_traffic() -> None:
    """Kind and low byte of the length are no number of two bytes: the length agrees for the one kind alone."""
    draw = random.Random(7)
    payloads = []
    for _ in range(300):
        if draw.random() < 0.85:
            kind, body = 2, b"\x00\x00" + draw.randbytes(draw.randrange(8, 80))
        else:
            kind, body = draw.choice([(1, b"\xff" * 4 + draw.randbytes(6)), (3, b"gone" + draw.randbytes(2))])
        number = draw.randbytes(4)
        payloads.append((len(body) + 7).to_bytes(2, "big") + bytes([kind]) + number + body)
    model = find_types(sample_of(payloads), SETTINGS)
    assert model.key is not None and model.key.offset == 2
    assert all(len(kinds) == 1 for kinds in groups(model, payloads).values())


def test_text_is_divided_by_the_words_that_recur() -> None:
    """Commands and status codes are types, without regard to case; their arguments are not."""
    draw = random.Random(4)
    payloads = []
    for n in range(200):
        command = draw.choice(["GET", "PUT", "get", "DELETE"])
        payloads += [f"{command} /{n:x} X/1.0\r\n".encode(), f"X/1.0 {draw.choice([200, 404])} {n} done\r\n".encode()]
    model = find_types(sample_of(payloads), SETTINGS)
    labels = [proposed.label for proposed in model.types]
    of = {
        p: labels[i] for p, i in zip(payloads, model.assign(MessageBatch.from_payloads(payloads).view()), strict=True)
    }
    for payload, label in of.items():
        words = payload.split()
        assert label == (words[0].decode().upper() if words[0] != b"X/1.0" else f"X/1.0 {words[1].decode()}")


def test_text_and_binary_messages_are_kept_apart() -> None:
    """A protocol that speaks both has types of both, and no type holds both."""
    payloads = keyed(200, 5) + [f"LOGIN user{n:03d} secret\r\n".encode() for n in range(100)]
    model = find_types(sample_of(payloads), SETTINGS)
    assigned = model.assign(MessageBatch.from_payloads(payloads).view())
    assert not set(assigned[:200].tolist()) & set(assigned[200:].tolist())


@pytest.mark.parametrize("size", [1, 7, 40, 1000, 5000])
@pytest.mark.parametrize("longest", [32, 200])
def test_random_bytes_are_one_type(size: int, longest: int) -> None:
    """Messages without structure make exactly one type, however many there are."""
    draw = random.Random(size)
    model = find_types(sample_of([draw.randbytes(draw.randint(24, longest)) for _ in range(size)]), SETTINGS)
    assert [proposed.guards for proposed in model.types] == [[]]
    assert model.key is None


def test_messages_of_one_layout_are_one_type() -> None:
    """A counter, an identifier and noise behind a constant do not divide anything."""
    draw = random.Random(6)
    payloads = [b"\xaa\x55" + n.to_bytes(2, "big") + draw.randbytes(12) for n in range(400)]
    assert len(find_types(sample_of(payloads), SETTINGS).types) == 1


@pytest.mark.parametrize("payloads", [[], [b""], [b"", b"\x00", b"x"]])
def test_almost_no_messages(payloads: list[bytes]) -> None:
    """Nothing to learn from is one type, not an error."""
    model = find_types(sample_of(payloads), SETTINGS)
    assert len(model.types) == 1
    assert len(model.assign(MessageBatch.from_payloads(payloads).view())) == len(payloads)


def test_order_and_repetition_do_not_change_the_types() -> None:
    """The same messages in another order give the same model."""
    payloads = keyed(300, 7)
    shuffled = payloads[:]
    random.Random(8).shuffle(shuffled)
    first, second = find_types(sample_of(payloads), SETTINGS), find_types(sample_of(shuffled), SETTINGS)
    assert (first.types, first.key) == (second.types, second.key)


def test_every_message_has_a_type_and_names_are_fit_for_a_specification() -> None:
    """The types make a valid specification with unique names, and even messages never seen before fall in one."""
    payloads = keyed(200, 9) + [b"\xe9t\xe9 \x00", b"DROP \"t'; --\x07\r\n"] * 3
    payloads += [f"{word}! {n} says\r\n".encode() for n in range(60) for word in ("A-B", "__init__", "x;y")]
    model = find_types(sample_of(payloads), SETTINGS)
    spec = ProtocolSpec(types=[MessageType(name=t.name, label=t.label, guards=t.guards) for t in model.types])
    names = [t.name for t in spec.types]
    assert len(set(names)) == len(names) and "unknown" not in names
    assert (model.assign(MessageBatch.from_payloads([*payloads, b"", b"\xfe" * 40]).view()) >= 0).all()


def test_types_are_limited_in_number() -> None:
    """Of more types than the settings allow the most frequent stay, and nothing is lost."""
    settings = DiscoverySettings(max_types=3)
    payloads = keyed(400, 10)
    model = find_types(sample_of(payloads, settings), settings)
    assert len(model.types) == 3
    assert (model.assign(MessageBatch.from_payloads(payloads).view()) >= 0).all()


def test_evidence_counts_messages_on_both_sides_of_the_split() -> None:
    """Support adds up to the messages of the sample, separately for those kept back; the key names what it beat."""
    sample = sample_of(keyed(400, 11))
    model = find_types(sample, SETTINGS)
    of_types: list[Evidence] = [model.evidence[f"type:{proposed.name}"] for proposed in model.types]
    assert sum(e.support for e in of_types) == np.count_nonzero(~sample.held_out)
    assert sum(e.held_out_support for e in of_types) == np.count_nonzero(sample.held_out)
    key = model.evidence["key:protocol"]
    assert key.held_out_support == key.held_out_trials and key.bits_saved > 0 and key.rivals


WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=48)


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=6), st.binary(max_size=6))
def test_hostile_words_make_valid_names(words: list[str], tail: bytes) -> None:
    """Whatever words recur, every name and label is one that a specification accepts."""
    payloads = [f"{word} {n} {word}\r\n".encode() + tail for n in range(12) for word in words]
    for t in find_types(sample_of(payloads), SETTINGS).types:
        made = MessageType(name=t.name, label=t.label, guards=t.guards)
        assert made.label.isascii() and made.label.isprintable() and len(made.label) <= 120


@pytest.mark.parametrize(("kind_shift", "mask"), [(5, 0xE0), (4, 0xF0), (0, 0x07)])
def test_bits_of_noise_beside_the_kind_do_not_divide_types(kind_shift: int, mask: int) -> None:
    """A kind that shares its byte with a sequence number makes as many types as there are kinds, by a mask."""
    draw = random.Random(kind_shift)
    bodies = [lambda: bytes(8), lambda: b"\xff" * 4 + draw.randbytes(4), lambda: draw.randbytes(8), lambda: b"quiet..."]
    payloads = []
    for number in range(600):
        kind = number * 7 % 4
        noise = draw.randrange(256) & ~mask
        payloads.append(bytes([noise | kind << kind_shift]) + bodies[kind]() + draw.randbytes(3))
    model = find_types(sample_of(payloads), SETTINGS)
    assert len(model.types) == 5  # four kinds and what is left
    guard = model.types[0].guards[0]
    assert isinstance(guard, ValueGuard) and guard.mask == bytes([mask])
    assigned = model.assign(MessageBatch.from_payloads(payloads).view())
    assert len({(int(found), payload[0] & mask) for found, payload in zip(assigned, payloads, strict=True)}) == 4
