"""The contract of a statistic: a commutative monoid with a stated error bound and a stated cap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..settings import DiscoverySettings
from .chunk import Chunk

Arrays = Mapping[str, NDArray[Any]]


class Statistic(Protocol):
    """
    One thing counted over all messages.

    ``update`` of rows in any order and any split, then ``merge`` in any order, gives the same ``to_arrays``.

    Attributes:
        name: prefix of its arrays in the serialised form.
        error_bound: how far a reading may be from the truth, in words; cap: what its memory is bounded by.
    """

    name: ClassVar[str]
    error_bound: ClassVar[str]
    cap: ClassVar[str]

    def __init__(self, settings: DiscoverySettings) -> None: ...

    def update(self, chunk: Chunk) -> None:
        """Count the messages of a chunk."""

    def merge(self, other: Self) -> Self:
        """Return the statistic of both inputs together; neither operand changes, the result shares nothing mutable."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the canonical arrays: equal states give equal arrays."""

    @classmethod
    def from_arrays(cls, settings: DiscoverySettings, arrays: Arrays) -> Self:
        """
        Return the statistic of these arrays.

        Raises:
            InputError: an array is missing or no ``to_arrays`` could have made it.
        """


def take_array(arrays: Arrays, name: str, dtype: type, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """
    Return the array of that name; None in ``shape`` is any size.

    Raises:
        InputError: it is missing, or of another type or shape.
    """
    array = arrays.get(name)
    if array is None or array.dtype != np.dtype(dtype) or array.ndim != len(shape):
        raise InputError(f"array '{name}' is missing or of another type", where="statistics")
    if any(wanted is not None and wanted != found for wanted, found in zip(shape, array.shape, strict=True)):
        raise InputError(f"array '{name}' has shape {array.shape}", where="statistics")
    return array


def take_counts(arrays: Arrays, name: str, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """
    Return a writable int64 array of the given shape from one whose trailing rows of zeros were cut (``trimmed``).

    Raises:
        InputError: it is missing, larger than ``shape``, not canonical, or holds negative counts.
    """
    array = take_array(arrays, name, np.int64, (None, *shape[1:]))
    require(len(array) <= shape[0] and (not array.size or array.min() >= 0), f"counts of '{name}'")
    require(not len(array) or bool(array[-1].any()), f"counts of '{name}' end in zeros")
    full = np.zeros(shape, np.int64)
    full[: len(array)] = array
    return full


def trimmed(array: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the array without its trailing rows of zeros."""
    used = np.flatnonzero(array.any(axis=tuple(range(1, array.ndim))))
    return array[: int(used[-1]) + 1 if len(used) else 0]


def require(condition: bool, what: str) -> None:
    """
    Check what every written statistic holds.

    Raises:
        InputError: the condition is false.
    """
    if not condition:
        raise InputError(f"not possible: {what}", where="statistics")
