"""Values of fields: bytes to numbers, text and floats, and back."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from functools import partial
from typing import Literal

from ..errors import InputError
from ..spec import Field, Fixed

Value = int | float | str | bytes
Reader = Callable[[bytes], Value]
_FLOATS = {2: "e", 4: "f", 8: "d"}
_MAX_NUMBER = 8  # bytes; longer ones are bytes


def decode(field: Field | None, data: bytes) -> Value:
    """Return the value of a field's bytes, see ``reader``."""
    return reader(field)(data)


def reader(field: Field | None) -> Reader:
    """
    Return what makes the value of a field out of its bytes.

    Integers of up to 8 bytes, BER lengths and varints are ints; floats of 2, 4 or 8 bytes are floats; packed decimals
    are strings of digits; text is str (bytes that are no text are kept as lone surrogates, see PEP 383); the rest, and
    UTF-16 that is broken, is bytes.
    """
    if field is None:
        return bytes
    order = field.endianness or "big"
    readers: dict[str, Reader] = {
        "bytes": bytes,
        "ascii": partial(str, encoding="ascii", errors="surrogateescape"),
        "utf8": partial(str, encoding="utf-8", errors="surrogateescape"),
        "utf16": partial(_utf16_text, _utf16(field)),
        "bcd": bytes.hex,
        "uint": partial(_whole, order, False),
        "int": partial(_whole, order, True),
        "leb128": _septets,
        "float": partial(_float, order),
    }
    return readers.get(field.encoding, _ber)


def _utf16(field: Field) -> str:
    return "utf-16-le" if field.endianness == "little" else "utf-16-be"


def _utf16_text(codec: str, data: bytes) -> Value:
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        return data


def _whole(order: Literal["little", "big"], signed: bool, data: bytes) -> Value:
    return int.from_bytes(data, order, signed=signed) if len(data) <= _MAX_NUMBER else data


def _septets(data: bytes) -> Value:
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(data))


def _ber(data: bytes) -> Value:
    if not data:
        return data
    return int.from_bytes(data[1:], "big") if data[0] & 0x80 else data[0]


def _float(order: str, data: bytes) -> Value:
    code = _FLOATS.get(len(data))
    if code is None:
        return data
    number: float = struct.unpack(("<" if order == "little" else ">") + code, data)[0]
    return number


def to_json(value: Value) -> int | float | str | None:
    """Return a value as JSON holds it: bytes in hexadecimal, numbers that are not finite as None."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def encode(field: Field, value: object, size: int | None = None) -> bytes:
    """
    Return the bytes of a value.

    Args:
        field: says how; value: as ``decode`` or ``to_json`` give it; bytes are taken as they are.
        size: bytes to fill, None where the value says it.

    Raises:
        InputError: the value is of the wrong type or does not fit.
    """
    if isinstance(field.width, Fixed):
        size = field.width.size
    try:
        data = _encoded(field, value, size)
    except (ValueError, OverflowError, struct.error) as error:
        raise InputError(f"{value!r} is no value: {error}", where=field.name) from error
    if isinstance(field.width, Fixed) and len(data) != field.width.size:
        raise InputError(f"{len(data)} bytes instead of {field.width.size}", where=field.name)
    return data


def _encoded(field: Field, value: object, size: int | None) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return _encoded_text(field, value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _encoded_number(field, value, size)
    raise ValueError(f"{type(value).__name__} for {field.encoding}")


def _encoded_text(field: Field, value: str) -> bytes:
    if field.encoding == "utf8":
        return value.encode("utf-8", "surrogateescape")
    if field.encoding == "ascii":
        return value.encode("ascii", "surrogateescape")
    if field.encoding == "utf16":
        return value.encode(_utf16(field))
    return bytes.fromhex(value)


def _encoded_number(field: Field, value: int | float, size: int | None) -> bytes:
    order = field.endianness or "big"
    if field.encoding == "float":
        return _encoded_float(value, size or 8, order)
    if isinstance(value, float):
        raise ValueError("not a whole number")
    if field.encoding == "ber_length":
        return _ber_length(value)
    if field.encoding == "leb128":
        return _leb128(value)
    if field.encoding not in ("uint", "int"):
        raise ValueError(f"a number for {field.encoding}")
    signed = field.encoding == "int"
    width = size if size is not None else max((value.bit_length() + 7 + signed) // 8, 1)
    return value.to_bytes(width, order, signed=signed)


def _encoded_float(value: int | float, size: int, order: str) -> bytes:
    code = _FLOATS.get(size)
    if code is None:
        raise ValueError(f"no float of {size} bytes")
    return struct.pack(("<" if order == "little" else ">") + code, value)


def _ber_length(value: int) -> bytes:
    if value < 0x80:
        return value.to_bytes(1, "big")
    octets = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(octets)]) + octets


def _leb128(value: int) -> bytes:
    if not 0 <= value < 1 << 70:
        raise ValueError("outside of 70 bits")
    octets = bytearray()
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)
