"""The byte order of a protocol's numbers, decided by all of them together where one alone does not show it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..spec import Checksum, Field
from .profile import Profile

CLEAR = 3.0  # bits by which one reading is smaller than the other
_PROVEN = frozenset({"length", "counter", "timestamp", "checksum"})
_EVEN = 1e-8  # a difference that is rounding


def vote(profile: Profile) -> float:
    """Return how many bits larger the little-endian reading is (negative: the big-endian one), 0 without evidence."""
    if profile.width not in (2, 3, 4, 8) or profile.distinct < 2:
        return 0.0
    chosen = ~profile.held
    big, little = (int(profile.numbers(order)[chosen].max()) for order in (False, True))
    return math.log2(little + 1) - math.log2(big + 1)


def joint(profiles: Iterable[tuple[Field, Profile, bool]]) -> bool | None:
    """
    Return whether the protocol is little-endian: each field with a clear vote has one, proven relations three.

    Args:
        profiles: fields with their values, and whether the parser reads other fields by them, which proves their order.
    """
    balance = sum(_votes(field, profile, read_by) for field, profile, read_by in profiles)
    return None if balance == 0 else balance < 0


def _votes(field: Field, profile: Profile, read_by: bool) -> int:
    """Return a field's votes for big-endian numbers, negative for little-endian ones."""
    if any(isinstance(c, Checksum) and c.reflected for c in field.constraints):
        return 0
    if _is_proven(field, profile, read_by):
        return {"big": 3, "little": -3}.get(field.endianness or "", 0)
    difference = 0.0 if _is_words(profile) else vote(profile)
    if abs(difference) < CLEAR:
        return 0
    return 1 if difference > 0 else -1


def _is_proven(field: Field, profile: Profile, read_by: bool) -> bool:
    """Return whether a relation that proves an order holds for the field, or the parser reads by its values."""
    told = any(c.kind in _PROVEN for c in field.constraints) or (read_by and profile.distinct > 1)
    return told and profile.width != 1


def _is_words(profile: Profile) -> bool:
    """Return whether the bytes are text, of which neither end is the high one."""
    return bool(profile.count("text") * 2 > profile.count("n"))


def order_of(field: Field, profile: Profile, little: bool | None) -> str | None:
    """Return the byte order of a number: its own where that is clear, else the protocol's, else what it was."""
    if profile.width < 2:
        return None
    difference = vote(profile)
    if abs(difference) >= 2 * CLEAR or little is None:
        own = None if abs(difference) <= _EVEN else "big" if difference > 0 else "little"
        return own or field.endianness or "big"
    return "little" if little else "big"
