"""The specification reads back what it wrote, refuses what it must not hold, and knows its own identity."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qbitel.discovery.errors import LimitError, QbitelError, SpecError
from qbitel.discovery.spec import (
    Enum,
    Evidence,
    Field,
    Fixed,
    Length,
    MessageType,
    ProtocolSpec,
    Range,
    Repeat,
    Rest,
    ToEnd,
    ValueGuard,
    walk,
)  # fmt: skip
from qbitel.discovery.spec.diff import diff
from qbitel.discovery.spec.model import MAX_SPEC_BYTES


def example(values: list[bytes] | None = None, size: int = 2) -> ProtocolSpec:
    """A small specification."""
    return ProtocolSpec(
        types=[
            MessageType(
                name="t1",
                guards=[ValueGuard(offset=0, width=1, values=[b"\x01"])],
                elements=[
                    Field(name="op", width=Fixed(size=1), constraints=[Enum(values=values or [b"\x01"])]),
                    Field(name="len", width=Fixed(size=size), encoding="uint", constraints=[Length(of="rest")]),
                    Repeat(name="items", stop=ToEnd(), elements=[Field(name="item", width=Fixed(size=1))]),
                ],
            )
        ]
    )


def test_document_round_trips() -> None:
    """Reading the canonical bytes gives an equal specification and the same digests."""
    spec = example()
    again = ProtocolSpec.from_bytes(spec.to_bytes())
    assert again == spec
    assert (again.id, again.digest) == (spec.id, spec.digest)


def test_id_is_of_the_structure_alone() -> None:
    """Evidence, counts and grown enums leave the id as it is; another width changes it."""
    spec = example()
    grown = example(values=[b"\x01", b"\x02"]).model_copy(update={"evidence": {"type:t1": Evidence(detector="x")}})
    assert grown.id == spec.id
    assert grown.digest != spec.digest
    assert example(size=4).id != spec.id


def test_partial_specification_has_no_id() -> None:
    """A result that misses a stage cannot be mistaken for a whole one."""
    assert example().model_copy(update={"partial": ["layout: budget"]}).id is None


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_by_name(data: bytes) -> None:
    """Whatever is no specification raises the engine's error, nothing else."""
    with pytest.raises(QbitelError):
        ProtocolSpec.from_bytes(data)


@given(st.data())
def test_mutated_documents_load_or_are_refused(data: st.DataObject) -> None:
    """A document with one value replaced is read or refused by name."""
    document = json.loads(example().to_bytes())
    node = document
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if isinstance(node[key], (dict, list)) and node[key] and data.draw(st.booleans()):
            node = node[key]
            continue
        node[key] = data.draw(st.one_of(st.none(), st.integers(), st.text(max_size=5), st.just([]), st.just({})))
        break
    with suppress(QbitelError):
        ProtocolSpec.from_bytes(json.dumps(document))


def test_oversized_document_is_refused() -> None:
    """A document over the limit is refused before it is parsed."""
    with pytest.raises(LimitError):
        ProtocolSpec.from_bytes(b" " * (MAX_SPEC_BYTES + 1))


def test_other_schema_version_is_refused() -> None:
    """A document of a version that this code does not know says so."""
    document = json.loads(example().to_bytes()) | {"schema_version": 99}
    with pytest.raises(SpecError, match="schema_version"):
        ProtocolSpec.from_bytes(json.dumps(document))


def test_diff_names_what_changed() -> None:
    """A changed width, a grown enum and an added field are each one line."""
    old = example()
    changed = example(values=[b"\x01", b"\x2a"], size=4)
    fields = [
        *changed.types[0].elements,
        Field(name="quality", width=Rest(), constraints=[Range(minimum=0, maximum=9)]),
    ]
    new = changed.model_copy(update={"types": [changed.types[0].model_copy(update={"elements": fields})]})
    lines = [str(change) for change in diff(old, new)]
    assert "~ t1.op (enum): 0x2a" in lines
    assert any(line.startswith("~ t1.len:") for line in lines)
    assert any(line.startswith("+ t1.quality:") for line in lines)
    assert diff(new, new) == []


def test_walk_visits_every_element_in_reading_order() -> None:
    """Walking enters repeats."""
    assert [element.name for element in walk(example().types[0].elements)] == ["op", "len", "items", "item"]
