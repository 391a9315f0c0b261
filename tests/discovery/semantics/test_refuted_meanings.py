"""Each meaning has a test that messages can fail, or says that it has none."""

from __future__ import annotations

import dataclasses
import struct

import numpy as np
import pytest
from pydantic import ValidationError

from qbitel.discovery.batch import MessageBatch
from qbitel.discovery.sample import Sample
from qbitel.discovery.semantics import label_fields
from qbitel.discovery.settings import DiscoverySettings
from qbitel.discovery.spec import (
    Constant,
    Delimited,
    Element,
    Evidence,
    Field,
    Fixed,
    FromLength,
    MessageType,
    ProtocolSpec,
    Rest,
    Timestamp,
    ValueGuard,
    quantise,
    walk,
)
from qbitel.discovery.statistics import MessageStatistics
from qbitel.discovery.types import find_types
from qbitel.evidence_text import claim_lines

SETTINGS = DiscoverySettings()
HOSTS = [bytes([203, 0, 113, i]) for i in range(1, 9)]
LAYOUT: list[Element] = [Field(name="tick", width=Fixed(size=3)), Field(name="value", width=Fixed(size=4))]


def sample_of(payloads: list[bytes], **columns: list[object]) -> Sample:
    """The sample of these messages."""
    statistics = MessageStatistics(SETTINGS)
    statistics.update(MessageBatch.from_payloads(payloads, **columns), "cd" * 8)
    return statistics.sample()


def changed(sample: Sample, start: int, values: list[bytes], share: int = 1) -> Sample:
    """The sample with these values at one place of the held-out messages, or of one of so many of them."""
    data = sample.view.data.copy()
    for k, row in enumerate(np.flatnonzero(sample.held_out)[::share]):
        value = values[k % len(values)]
        at = int(sample.view.starts[row]) + start
        data[at : at + len(value)] = np.frombuffer(value, np.uint8)
    return dataclasses.replace(sample, view=dataclasses.replace(sample.view, data=data))


def labelled(sample: Sample, elements: list[Element]) -> tuple[dict[str, Field], ProtocolSpec]:
    """The fields by name, and the specification, of one type of this layout."""
    spec = label_fields(ProtocolSpec(types=[MessageType(name="t", elements=elements)]), sample, SETTINGS)
    return {e.name: e for e in walk(spec.types[0].elements) if isinstance(e, Field)}, spec


def kind_of(sample: Sample, elements: list[Element] = LAYOUT) -> tuple[str, Evidence | None]:
    """What the field ``value`` means, and the evidence of it."""
    fields, spec = labelled(sample, elements)
    claims = [f"{kind}:t.value" for kind in ("field", "address", "opaque", "float", "range")]
    return fields["value"].semantic, next((spec.evidence[c] for c in claims if c in spec.evidence), None)


def numbered(values: list[bytes]) -> list[bytes]:
    """Messages of a three-byte number and a value each."""
    return [struct.pack(">I", 65536 + 37 * i)[1:] + value for i, value in enumerate(values)]


def test_held_out_messages_that_repeat_values_refute_an_identifier() -> None:
    """An identifier is a value not seen before, in nearly all messages."""
    draw = np.random.default_rng(3)
    sample = sample_of(numbered([draw.bytes(4) for _ in range(400)]))
    meaning, evidence = kind_of(sample)
    assert meaning == "identifier" and evidence is not None
    assert (evidence.statement, evidence.epsilon) == ("a value not seen before", quantise(0.05))
    assert evidence.held_out_trials == sample.held_out.sum()
    known = [sample.view.payload(int(row))[3:] for row in np.flatnonzero(~sample.held_out)[:9]]
    assert kind_of(changed(sample, 3, known))[0] != "identifier"


@pytest.mark.parametrize("private", [False, True])
def test_held_out_messages_with_strange_addresses_refute_an_address(private: bool) -> None:
    """Nearly all are of endpoints, or of private networks; held-out ones of neither kind refute it."""
    draw = np.random.default_rng(4)
    if private:
        values = [bytes([*((192, 168) if i % 3 else (10, 1)), *draw.integers(0, 255, 2).tolist()]) for i in range(300)]
        sample = sample_of(numbered(values))
    else:
        ends = [HOSTS[i % 8] for i in range(300)]
        sample = sample_of(numbered(ends), flow=[1 + i % 8 for i in range(300)], src=ends, dst=ends[1:] + ends[:1])
    meaning, evidence = kind_of(sample)
    assert meaning == "address" and evidence is not None and evidence.support < evidence.trials + 1
    assert evidence.epsilon == quantise(0.1) and evidence.held_out_support > 0
    assert kind_of(changed(sample, 3, [draw.bytes(4) for _ in range(50)]))[0] != "address"


def test_held_out_messages_beyond_the_exponents_refute_a_float() -> None:
    """Values that are none, infinite or of another size than those that proposed it."""
    draw = np.random.default_rng(5)
    values = [struct.pack(">f", float(draw.normal() * 10.0 ** draw.integers(0, 4))) for _ in range(300)]
    sample = sample_of(numbered(values))
    meaning, evidence = kind_of(sample)
    assert meaning == "float" and evidence is not None and evidence.held_out_trials > 0 and evidence.epsilon
    for strange in (b"\x7f\xc0\0\0", b"\x7f\x80\0\0", b"\x7e\0\0\0"):
        assert kind_of(changed(sample, 3, [strange], share=4))[0] != "float"


def test_held_out_messages_with_bytes_alike_refute_opaque_bytes() -> None:
    """Each value alone is tested: as few of its bytes are alike as of uniform ones."""
    draw = np.random.default_rng(6)
    layout: list[Element] = [Field(name="tick", width=Fixed(size=3)), Field(name="value", width=Fixed(size=32))]
    sample = sample_of(numbered([draw.bytes(32) for _ in range(300)]))
    meaning, evidence = kind_of(sample, layout)
    assert meaning == "opaque" and evidence is not None and evidence.held_out_trials == sample.held_out.sum()
    evenly = [bytes([k % 256] * 16 + [(k + 128) % 256] * 16) for k in range(0, 999, 3)]  # uniform over all messages
    assert kind_of(changed(sample, 3, evenly), layout)[0] != "opaque"


def test_what_no_message_can_refute_says_so() -> None:
    """Numbers too few to bound, and payload, have no trials, and ``why`` does not show support."""
    draw = np.random.default_rng(7)
    messages = [struct.pack(">H", 700 + 13 * i) + draw.bytes(int(draw.integers(0, 9))) for i in range(60)]
    layout: list[Element] = [Field(name="value", width=Fixed(size=2)), Field(name="body", width=Rest())]
    fields, spec = labelled(sample_of(messages), layout)
    assert (fields["value"].semantic, fields["body"].semantic) == ("integer", "payload")
    for name in ("value", "body"):
        evidence = spec.evidence[f"field:t.{name}"]
        assert evidence.untestable and not evidence.trials and not evidence.held_out_trials
        lines = "\n".join(claim_lines(spec, f"field:t.{name}"))
        assert "no message can refute it" in lines and " of " not in lines.split("for example")[0].split("refute it")[0]
    with pytest.raises(ValidationError, match="no trials"):
        Evidence(detector="payload", untestable="whatever", support=3, trials=3)


def test_held_out_messages_with_unknown_values_refute_a_key() -> None:
    """The key has one of the values that divide types; bits of it that do not tell are masked in the specification."""
    draw = np.random.default_rng(8)
    messages = []
    for i in range(600):
        kind = i * 7 % 4
        body = (bytes(8), b"\xff" * 4 + draw.bytes(4), draw.bytes(8), b"quiet...")[kind]
        messages.append(bytes([kind << 5 | int(draw.integers(0, 32))]) + body + draw.bytes(3))
    sample = sample_of(messages)
    model = find_types(sample, SETTINGS)
    assert model.key is not None and model.key.mask == b"\xe0"
    assert model.evidence["key:protocol"].epsilon == quantise(0.3)
    refuted = find_types(changed(sample, 0, [b"\xe0"]), SETTINGS)
    assert refuted.key is None and "key:protocol" not in refuted.evidence


def read_by_length(order: str) -> list[bytes]:
    """Messages of a two-byte length, so many bytes, and a number that shows no byte order."""
    draw = np.random.default_rng(9)
    form = "<H" if order == "little" else ">H"
    sizes = [int(size) for size in draw.integers(1, 40, 300)]
    return [struct.pack(form, size) + b"\x11" * size + draw.bytes(2) for size in sizes]


def by_length(order: str) -> list[Element]:
    """The layout of those messages."""
    number = {"width": Fixed(size=2), "encoding": "uint"}
    return [
        Field.model_validate({"name": "size", "endianness": order, **number}),
        Field(name="value", width=FromLength(field="size")),
        Field.model_validate({"name": "last", "endianness": "big", **number}),
    ]


@pytest.mark.parametrize("order", ["big", "little"])
def test_roles_of_the_layout_are_tested_and_vote_on_byte_order(order: str) -> None:
    """A length that the parser reads by has trials of its own; messages that do not fit by it refute it."""
    sample = sample_of(read_by_length(order))
    fields, spec = labelled(sample, by_length(order))
    evidence = spec.evidence["length:t.size"]
    assert (evidence.held_out_support, evidence.held_out_trials) == (sample.held_out.sum(),) * 2
    assert fields["last"].endianness == order
    wrong = struct.pack("<H" if order == "little" else ">H", 999)
    fields, spec = labelled(changed(sample, 0, [wrong]), by_length(order))
    assert "length:t.size" not in spec.evidence
    assert (fields["size"].semantic, fields["size"].constraints) == ("unknown", [])


def test_what_the_layout_calls_text_and_delimiters_is_tested() -> None:
    """Held-out bytes that are no text, or another delimiter, refute what the layout said."""
    draw = np.random.default_rng(10)
    words = [f"{'get' if i % 2 else 'put'}{draw.integers(100)}" for i in range(300)]
    sample = sample_of([f"{word};{i:06d}".encode() for i, word in enumerate(words)])
    layout: list[Element] = [
        Field(name="word", width=Delimited(delimiters=[b";", b"\xff"]), semantic="text"),
        Field(name="mark", width=Fixed(size=1), semantic="delimiter"),
        Field(name="value", width=Fixed(size=6), semantic="text"),
    ]
    fields, spec = labelled(sample, layout)
    assert [fields[n].semantic for n in ("word", "mark", "value")] == ["text", "delimiter", "text"]
    assert all(spec.evidence[f"field:t.{n}"].held_out_trials for n in ("word", "mark", "value"))
    assert labelled(changed(sample, 0, [b"\0\1\2"]), layout)[0]["word"].semantic == "unknown"
    data = sample.view.data.copy()
    for row in np.flatnonzero(sample.held_out):
        at = int(sample.view.starts[row])
        message = data[at : at + int(sample.view.lengths[row])]
        message[message == ord(";")] = 0xFF
    other = dataclasses.replace(sample, view=dataclasses.replace(sample.view, data=data))
    assert labelled(other, layout)[0]["mark"].semantic == "unknown"


def kinds(second: bytes) -> tuple[list[bytes], list[MessageType]]:
    """Messages of two kinds with three bytes behind the kind, in the second kind these, and their types."""
    draw = np.random.default_rng(11)
    messages = [bytes([kind]) + (b"\x5a\x01\x02", second)[kind - 1] + draw.bytes(6) for kind in (1, 2) * 100]
    elements: list[Element] = [
        Field(name="kind", width=Fixed(size=1)),
        Field(name="value", width=Fixed(size=3)),
        Field(name="body", width=Rest()),
    ]
    guards = [ValueGuard(offset=0, width=1, values=[bytes([kind])]) for kind in (1, 2)]
    types = [MessageType(name=f"t{k + 1}", guards=[guards[k]], elements=elements) for k in (0, 1)]
    types[1] = types[1].model_copy(update={"elements": [element.model_copy() for element in elements]})
    return messages, types


def test_messages_of_other_types_refute_a_constant() -> None:
    """What never changes in one type keeps its value; it means a constant only where other types have it too."""
    for second, meaning in ((b"\x5a\x01\x02", "constant"), (b"\x5a\x01\x03", "unknown")):
        messages, types = kinds(second)
        if meaning == "unknown":  # of other widths: no column over all types says anything of it
            parts: list[Element] = [Field(name="value", width=Fixed(size=2)), Field(name="more", width=Fixed(size=1))]
            types[1] = types[1].model_copy(update={"elements": [types[1].elements[0], *parts, types[1].elements[2]]})
        spec = label_fields(ProtocolSpec(types=types), sample_of(messages), SETTINGS)
        value = spec.types[0].elements[1]
        assert isinstance(value, Field) and value.semantic == meaning
        assert value.constraints == [Constant(value=b"\x5a\x01\x02")]
        assert spec.evidence["constant:t1.value"].held_out_trials > 0


def test_held_out_messages_at_another_time_refute_a_timestamp() -> None:
    """A time behind a text of any length is told by the capture's clock; without one, nothing is said."""
    draw = np.random.default_rng(12)
    start = 1_600_000_000
    clock = [start + 11.0 * i for i in range(300)]
    messages = [
        bytes([size := 1 + i % 7]) + b"x" * size + struct.pack("<I", int(ts) + int(draw.integers(0, 5)))
        for i, ts in enumerate(clock)
    ]  # fmt: skip
    layout: list[Element] = [
        Field(name="size", width=Fixed(size=1), encoding="uint"),
        Field(name="name", width=FromLength(field="size")),
        Field(name="value", width=Fixed(size=4)),
    ]
    sample = sample_of(messages, ts=list(clock))
    fields, spec = labelled(sample, layout)
    assert (fields["value"].semantic, fields["value"].endianness) == ("timestamp", "little")
    assert fields["value"].constraints == [Timestamp(form="unix_s")]
    assert spec.evidence["timestamp:t.value"].held_out_support == sample.held_out.sum()
    data = sample.view.data.copy()
    for row in np.flatnonzero(sample.held_out)[::2]:
        end = int(sample.view.starts[row] + sample.view.lengths[row])
        data[end - 4 : end] = np.frombuffer(draw.bytes(4), np.uint8)
    other = dataclasses.replace(sample, view=dataclasses.replace(sample.view, data=data))
    assert labelled(other, layout)[0]["value"].semantic != "timestamp"
    assert labelled(sample_of(messages), layout)[0]["value"].semantic != "timestamp"
