"""An example (a dataclass of arrays, numbers and further such dataclasses) as bytes of safetensors, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

Kind = TypeVar("Kind")
LANES = 8  # sums of digests, each modulo 2 ** 32


def to_bytes(example: object) -> bytes:
    """Return the arrays and numbers of an example; the same example always gives the same bytes."""
    return save(dict(_leaves("", example)))


def from_bytes(kind: type[Kind], data: bytes) -> Kind:
    """Return the example of that kind; its arrays may be written to."""
    built: Kind = _build("", kind, load(data))
    return built


def digest(example: object) -> bytes:
    """Return the SHA-256 of the names, shapes and contents of an example's arrays, without a copy of them."""
    found = sha256()
    for name, array in _leaves("", example):
        found.update(f"{name}\0{array.dtype.str}{array.shape}\0".encode())
        found.update(array.data if array.size else b"")
    return found.digest()


def lanes(digest_of: bytes) -> NDArray[np.int64]:
    """
    Return (LANES,) int64, the parts of a digest.

    Their sums modulo 2 ** 32 tell a set of examples apart from others in whatever order and on however many workers it
    was read.
    """
    return np.frombuffer(digest_of, ">u4").astype(np.int64)


def hexadecimal(sums: NDArray[np.int64]) -> str:
    """Return sums of digests as text."""
    return (sums % (1 << 32)).astype(">u4").tobytes().hex()


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, kind in _fields(type(value)):
        inner = getattr(value, name)
        if dataclasses.is_dataclass(kind):
            yield from _leaves(f"{prefix}{name}.", inner)
        else:
            yield f"{prefix}{name}", np.ascontiguousarray(inner)


def _build(prefix: str, kind: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    made = {}
    for name, inner in _fields(kind):
        if dataclasses.is_dataclass(inner):
            made[name] = _build(f"{prefix}{name}.", inner, arrays)
        else:
            array = arrays[f"{prefix}{name}"]
            made[name] = inner(array.reshape(()).item()) if inner in (int, float, bool) else array
    return kind(**made)


def _fields(kind: Any) -> list[tuple[str, Any]]:
    hints = get_type_hints(kind)
    return [(field.name, hints[field.name]) for field in dataclasses.fields(kind)]
