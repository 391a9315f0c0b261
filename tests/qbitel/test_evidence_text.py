"""Claims in words."""

from __future__ import annotations

from typing import Literal

import pytest

from qbitel.discovery.spec import Constant, Enum, Field, Fixed
from qbitel.evidence_text import constraint_text


@pytest.mark.parametrize(("order", "first", "second"), [("little", "0x0001", "0x0203"), ("big", "0x0100", "0x0302")])
def test_values_of_numbers_are_told_in_their_byte_order(
    order: Literal["little", "big"], first: str, second: str
) -> None:
    """A person compares the value with a document, not with the bytes on the wire."""
    field = Field(name="kind", width=Fixed(size=2), encoding="uint", endianness=order)
    assert constraint_text(Constant(value=b"\x01\x00"), field) == f"= {first}"
    assert constraint_text(Enum(values=[b"\x01\x00", b"\x03\x02"]), field) == f"one of {first}, {second}"
