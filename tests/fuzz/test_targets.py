"""Every fuzz target withstands random bytes and mutations of valid input."""

from __future__ import annotations

import importlib.util
import json
import random
import struct
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitel.discovery.spec import (
    Case,
    Delimited,
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
    TextGuard,
    Times,
    ToEnd,
    ValueGuard,
)  # fmt: skip


def load() -> ModuleType:
    """The module of targets, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("fuzz_targets", Path(__file__).with_name("targets.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TARGETS = load().TARGETS

SPEC = ProtocolSpec(
    groups={
        "tlv": [
            Field(name="tag", width=SelfDelimiting(form="ber_tag"), encoding="uint"),
            Field(name="len", width=SelfDelimiting(form="ber_length"), encoding="ber_length"),
            Switch(
                name="inner", field="tag", mask=0x20,
                cases=[Case(values=[0x20], elements=[Field(name="nest", width=FromLength(field="len"), group="tlv")])],
                default=[Field(name="value", width=FromLength(field="len"))],
            ),
        ]
    },
    types=[
        MessageType(name="t", guards=[TextGuard()], elements=[Field(name="a", width=Delimited(delimiters=[b" "]))]),
        MessageType(
            name="b",
            guards=[ValueGuard(offset=0, width=1, values=[b"\x01", b"\x30"])],
            elements=[
                Field(name="n", width=Fixed(size=1), encoding="uint", constraints=[Length(of="rest")]),
                Repeat(name="r", stop=Times(field="n"), elements=[Field(name="i", width=Fixed(size=2))]),
                Repeat(name="z", stop=ToEnd(), group="tlv", maximum=9),
                Field(name="rest", width=Rest()),
            ],
        ),
    ],
)  # fmt: skip
CAPTURE = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(
    struct.pack("<IIII", i, 0, 46, 46)
    + bytes.fromhex("ffffffffffff00000000000108004500002000010000401100007f0000017f000001")
    + struct.pack(">HHHH", 40000, 20547, 12, 0)
    + struct.pack(">I", i)
    for i in range(3)
)
RULES = json.dumps([{"name": "a", "field": "f", "op": "in", "value": [1, 2]}]).encode()
SEEDS = {
    "reader": CAPTURE,
    "spec": SPEC.to_bytes(),
    "parser": SPEC.to_bytes() + b"\xff\x00\xff" + b"\x01\x02\x30\x04\x02\x02\x05\x05rest",
    "rules": RULES,
}


def table_file(kind: str) -> bytes:
    """Return a small table as a file."""
    table = pa.table({"payload": [b"abc", b"de"] * 20, "ts": [1.0, None] * 20, "direction": ["c2s", None] * 20})
    sink = pa.BufferOutputStream()
    if kind == "parquet":
        pq.write_table(table, sink)
    else:
        compressed = pa.ipc.IpcWriteOptions(compression="zstd")
        make = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
        with make(sink, table.schema, options=compressed) as writer:
            writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


@pytest.mark.parametrize("kind", ["parquet", "stream", "file"])
def test_reader_withstands_damaged_tables(kind: str) -> None:
    """Tables with bytes replaced, cut or not, raise nothing but the engine's errors, and do not end the process."""
    rng, content = random.Random(1), table_file(kind)
    TARGETS["reader"](content)
    for _ in range(2500):
        damaged = bytearray(content)
        for _ in range(rng.randrange(1, 5)):
            damaged[rng.randrange(len(damaged))] = rng.choice([0, 255, 127, 128, rng.randrange(256)])
        TARGETS["reader"](bytes(damaged[: rng.choice([len(damaged)] * 4 + [rng.randrange(len(damaged))])]))


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_target_accepts_its_seed(name: str) -> None:
    """The seed is valid input, so that mutations start from something that is read to the end."""
    TARGETS[name](SEEDS[name])


@pytest.mark.parametrize("name", sorted(TARGETS))
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=400))
def test_target_withstands_random_bytes(name: str, data: bytes) -> None:
    """Random bytes raise nothing but the engine's errors."""
    TARGETS[name](data)


@pytest.mark.parametrize("name", sorted(TARGETS))
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_target_withstands_mutations(name: str, data: st.DataObject) -> None:
    """Valid input with bytes replaced, cut out and put in raises nothing but the engine's errors."""
    seed = bytearray(SEEDS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(seed) - 1, 0)))
        seed[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    TARGETS[name](bytes(seed))
